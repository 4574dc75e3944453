/** Files that were announced, and clients that send them: whole, in parts, and over connections that break. */
import { strict as assert } from "node:assert";
import { findId, newId } from "../../src/lib/ids.ts";
import { uploadUrl } from "../../src/uploads/links.ts";
import type { Any, Api, Person, TestApp, TestRoom } from "./app.ts";

export interface Announced {
  readonly id: string;
  readonly fileId: string;
  readonly filename: string;
  readonly byteSize: number;
  readonly url: string;
}

/** Does what the announcement of a file does: an attachment that awaits its bytes. */
export async function announceFile(
  { app, url }: TestApp,
  as: Person,
  { room, byteSize, filename = "notes.txt", expiresAt = new Date(Date.now() + 86_400_000) }: {
    readonly room: Pick<TestRoom, "id">;
    readonly byteSize: number;
    readonly filename?: string;
    readonly expiresAt?: Date;
  },
): Promise<Announced> {
  const [id, fileId, userId] = [newId(), crypto.randomUUID(), findId("user", as.id) ?? ""];
  await app.sql`
    with file as (
      insert into files (id, owner_id, purpose, byte_size) values (${fileId}, ${userId}, 'ATTACHMENT', ${byteSize})
    )
    insert into attachments (id, file_id, room_id, uploader_id, filename)
    values (${id}, ${fileId}, ${findId("room", room.id)}, ${userId}, ${filename})`;
  const link = new URL(uploadUrl(app, userId, id, expiresAt));
  return { id, fileId, filename, byteSize, url: new URL(link.pathname + link.search, url).href };
}

/** The same upload on another node. */
export function through({ url }: Api, announced: Announced): Announced {
  const { pathname, search } = new URL(announced.url);
  return { ...announced, url: new URL(pathname + search, url).href };
}

export interface PutAnswer {
  readonly status: number;
  readonly body: Any;
  /** `Upload-Offset`. */
  readonly offset: number | null;
}

/** Sends bytes; with `from` as the rest of a file, from that byte on. */
export async function put(
  { url, byteSize }: Pick<Announced, "url" | "byteSize">,
  bytes: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
  { from, range = from === undefined ? undefined : rangeFrom(from, byteSize) }: {
    readonly from?: number;
    readonly range?: string | undefined;
  } = {},
): Promise<PutAnswer> {
  const headers = range === undefined ? {} : { "content-range": range };
  const response = await fetch(url, { method: "PUT", body: bytes, headers });
  const offset = response.headers.get("upload-offset");
  return { status: response.status, offset: offset === null ? null : Number(offset), body: await response.json() };
}

export function rangeFrom(from: number, byteSize: number): string {
  return from === byteSize ? `bytes */${byteSize}` : `bytes ${from}-${byteSize - 1}/${byteSize}`;
}

/** `Upload-Offset` and `Upload-Length`; the status alone where there is nothing. */
export async function offsetOf({ url }: Pick<Announced, "url">): Promise<number[]> {
  const { status, headers } = await fetch(url, { method: "HEAD" });
  const numbers = ["upload-offset", "upload-length"].map((name) => headers.get(name));
  return status === 200 ? numbers.map(Number) : [status];
}

/** The bytes as a stream: their number is not said before. */
export function streamed(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

/** A `PUT` by hand, whose body comes bit by bit, or never to its end. */
export class SlowPut implements Disposable {
  private constructor(private readonly connection: Deno.TcpConn) {}

  /** Sends the head of the request. */
  static async begin(
    { url, byteSize }: Announced,
    { from = null }: { readonly from?: number | null } = {},
  ): Promise<SlowPut> {
    const { hostname, port, host, pathname, search } = new URL(url);
    const put = new SlowPut(await Deno.connect({ hostname, port: Number(port) }));
    const headers = [
      `PUT ${pathname}${search} HTTP/1.1`,
      `Host: ${host}`,
      "Connection: close",
      `Content-Length: ${byteSize - (from ?? 0)}`,
      ...from === null ? [] : [`Content-Range: ${rangeFrom(from, byteSize)}`],
    ];
    await put.send(new TextEncoder().encode(`${headers.join("\r\n")}\r\n\r\n`));
    return put;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.connection.write(bytes.subarray(sent));
  }

  /** What the server says, whether or not it has heard everything. */
  async answer(): Promise<PutAnswer> {
    const [decoder, buffer] = [new TextDecoder(), new Uint8Array(4096)];
    for (let text = "";;) {
      const [head = "", body] = text.split("\r\n\r\n");
      const field = (name: string) => new RegExp(`^${name}: (\\d+)`, "im").exec(head)?.[1];
      if (body !== undefined && body.length === Number(field("content-length"))) {
        const offset = field("upload-offset");
        const status = Number(head.split(" ")[1]);
        return { status, offset: offset === undefined ? null : Number(offset), body: JSON.parse(body) };
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

/** Sends the bytes up to there, and no more, though more are awaited. */
export async function breakOff(
  announced: Announced,
  bytes: Uint8Array<ArrayBuffer>,
  { from, to }: { readonly from?: number | undefined; readonly to: number },
): Promise<void> {
  const { status } = await put(announced, streamed(bytes.slice(from, to)), from === undefined ? {} : { from });
  assert.equal(status, 400);
  assert.deepEqual(await offsetOf(announced), [to, bytes.length]);
}

/** Goes on as a client does, until the server has taken the file. */
export async function goOn(announced: Announced, bytes: Uint8Array<ArrayBuffer>): Promise<PutAnswer> {
  let [from = 0] = await offsetOf(announced);
  while (true) {
    const answer = await put(announced, bytes.slice(from), { from });
    if (answer.status !== 409 || answer.offset === null) return answer;
    from = answer.offset; // what an older request had in hand was safe just now
  }
}
