/** Requests whose body comes bit by bit, or never to its end. */
import { encode, joinBytes } from "./bytes.ts";

export interface SlowAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

export class SlowRequest implements Disposable {
  private constructor(private readonly connection: Deno.TcpConn) {}

  /** Sends the head of the request. */
  static async begin(
    method: "POST" | "PUT",
    target: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<SlowRequest> {
    const { hostname, port, host, pathname, search } = new URL(target);
    const request = new SlowRequest(await Deno.connect({ hostname, port: Number(port) }));
    const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}`);
    await request.send(encode([`${method} ${pathname}${search} HTTP/1.1`, ...lines, "", ""].join("\r\n")));
    return request;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.connection.write(bytes.subarray(sent));
  }

  /** A chunk of a body whose length is not announced. */
  async sendChunk(bytes: Uint8Array): Promise<void> {
    await this.send(joinBytes(`${bytes.length.toString(16)}\r\n`, bytes, "\r\n"));
  }

  /** What the server says, whether or not it has heard everything. */
  async answer(): Promise<SlowAnswer> {
    const [decoder, buffer] = [new TextDecoder(), new Uint8Array(65_536)];
    for (let text = "";;) {
      const [head = "", body] = text.split("\r\n\r\n");
      const [first = "", ...lines] = head.split("\r\n");
      const headers = new Headers(lines.map((line) => line.split(": ", 2) as [string, string]));
      if (body !== undefined && encode(body).length === Number(headers.get("content-length"))) {
        return { status: Number(first.split(" ")[1]), headers, body };
      }
      const count = await this.connection.read(buffer);
      if (count === null) throw new Error(`The server closed after: ${text}`);
      text += decoder.decode(buffer.subarray(0, count));
    }
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}
