/** One WebSocket, frame by frame: for what a well-behaved client never does, and for what the server says last. */
import type { Answer, Any, Person, TestApp } from "./app.ts";

export const PROTOCOL = "graphql-transport-ws";

export interface Goodbye {
  readonly code: number;
  readonly reason: string;
}

export class RawSocket implements AsyncDisposable {
  /** Why it was closed, by whichever side. */
  readonly closed: Promise<Goodbye>;
  readonly #socket: WebSocket;
  readonly #frames: Any[] = [];
  #change = Promise.withResolvers<void>();
  #goodbye: Goodbye | null = null;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#frames.push(JSON.parse(data));
      this.#notify();
    };
    this.closed = new Promise((resolve) => {
      socket.onclose = ({ code, reason }) => {
        resolve(this.#goodbye = { code, reason });
        this.#notify();
      };
    });
  }

  /** Opened, but without a word about who it is; with these headers of the upgrade. */
  static async open({ socketUrl }: Pick<TestApp, "socketUrl">, headers: HeadersInit = {}): Promise<RawSocket> {
    const options: WebSocketOptions = { protocols: [PROTOCOL], headers };
    const socket = new WebSocket(socketUrl, options as unknown as string[]); // typed as in browsers, which set no headers
    const raw = new RawSocket(socket);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error(`No socket was opened at ${socketUrl}`));
    });
    socket.onerror = () => {}; // `onclose` follows
    return raw;
  }

  /** Opened and acknowledged, with this payload of `connection_init`. */
  static async connect(app: Pick<TestApp, "socketUrl">, payload: object = {}): Promise<RawSocket> {
    const raw = await RawSocket.open(app);
    raw.send({ type: "connection_init", payload });
    await raw.next("connection_ack");
    return raw;
  }

  static signIn(app: Pick<TestApp, "socketUrl">, as: Person): Promise<RawSocket> {
    return RawSocket.connect(app, { Authorization: `Bearer ${as.token}` });
  }

  /** Objects are sent as JSON, texts and bytes as they are. */
  send(frame: object | string | Uint8Array<ArrayBuffer>): void {
    const isRaw = typeof frame === "string" || frame instanceof Uint8Array;
    this.#socket.send(isRaw ? frame : JSON.stringify(frame));
  }

  subscribe(id: string, query: string, variables: object = {}): void {
    this.send({ id, type: "subscribe", payload: { query, variables } });
  }

  /** The first frame that is left of this operation, or of this type. Fails once the socket is closed. */
  async next(idOrType: string): Promise<Any> {
    while (true) {
      const index = this.#frames.findIndex(({ id, type }) =>
        id === idOrType || (id === undefined && type === idOrType)
      );
      if (index >= 0) return this.#frames.splice(index, 1)[0];
      if (this.#goodbye) throw new Error(`No ${idOrType} any more: closed with ${JSON.stringify(this.#goodbye)}`);
      await this.#change.promise;
    }
  }

  /** Why it was closed. Fails as soon as a frame of this type shows that it was not. */
  async closedUnless(type: string): Promise<Goodbye> {
    while (this.#goodbye === null) {
      if (this.#frames.some((frame) => frame.type === type)) throw new Error(`Not closed: ${type} came instead`);
      await this.#change.promise;
    }
    return this.#goodbye;
  }

  /** Runs one query or mutation, or reads the one result of a subscription that is refused. */
  async ask(query: string, variables: object = {}): Promise<Answer["body"]> {
    const id = crypto.randomUUID();
    this.subscribe(id, query, variables);
    const { type, payload } = await this.next(id);
    if (type === "error") return { errors: payload };
    const end = await this.next(id);
    if (end.type !== "complete") throw new Error(`Expected the end of ${query}, got ${JSON.stringify(end)}`);
    return payload;
  }

  /** Frames that came and were not asked for. */
  get unread(): readonly Any[] {
    return this.#frames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.closed;
  }

  #notify(): void {
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers();
    resolve();
  }
}

/** An upgrade request written by hand: with any headers, and with a peer that never answers a closing frame. */
export class HandmadeUpgrade implements Disposable {
  #isOpen = true;

  private constructor(
    readonly status: number,
    readonly protocol: string | null,
    private readonly connection: Deno.TcpConn,
  ) {}

  static async send({ url }: Pick<TestApp, "url">, headers: Record<string, string>): Promise<HandmadeUpgrade> {
    const { hostname, port, host, pathname } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const lines = Object.entries({
      Host: host,
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": btoa("sixteen bytes it"),
      ...headers,
    }).map(([name, value]) => `${name}: ${value}`);
    await connection.write(new TextEncoder().encode([`GET ${pathname} HTTP/1.1`, ...lines, "", ""].join("\r\n")));
    const head = new TextDecoder().decode(await readSome(connection));
    const protocol = /^sec-websocket-protocol: (.*)$/im.exec(head)?.[1]?.trim() ?? null;
    return new HandmadeUpgrade(Number(head.split(" ")[1]), protocol, connection);
  }

  /** The code of the closing frame that comes next. */
  async closeCode(): Promise<number> {
    const frame = await readSome(this.connection);
    if (frame[0] !== CLOSING_FRAME) throw new Error(`Expected a closing frame, got ${frame}`);
    return new DataView(frame.buffer).getUint16(2);
  }

  hangUp(): void {
    if (this.#isOpen) this.connection.close();
    this.#isOpen = false;
  }

  [Symbol.dispose](): void {
    this.hangUp();
  }
}

/** FIN and opcode 8 (RFC 6455, section 5.5.1). */
const CLOSING_FRAME = 0x88;

async function readSome(connection: Deno.TcpConn): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(4096);
  return bytes.slice(0, await connection.read(bytes) ?? 0);
}
