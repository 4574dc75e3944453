/** A wire between clients and a server, which a test can cut, stall or close: clients see what they see when their network
 * goes. It keeps its port while the server behind it comes back on another one. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Wire implements AsyncDisposable {
  readonly #ends = new Map<Socket, Socket>();
  #isRefusing = false;
  #isStalled = false;

  private constructor(
    private readonly server: Server,
    /** Where clients connect, also after its end. */
    readonly port: number,
    /** Port to which new connections go; those that are open stay where they are. */
    public target: number,
  ) {}

  /** A wire to the port of this machine. */
  static async to(port: number): Promise<Wire> {
    const server = createServer();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 });
    await once(server, "listening");
    const wire = new Wire(server, (server.address() as AddressInfo).port, port);
    server.on("connection", (client) => wire.#join(client));
    return wire;
  }

  /** The URL of a server with the way over this wire. */
  rewrite(url: string): string {
    const rewritten = new URL(url);
    rewritten.hostname = "127.0.0.1";
    rewritten.port = String(this.port);
    return rewritten.href;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/graphql`;
  }

  get socketUrl(): string {
    return `ws://127.0.0.1:${this.port}/graphql`;
  }

  /** Cuts the connections that are open now, all or those that are chosen; new ones work. */
  cut(isChosen: () => boolean = () => true): void {
    for (const [end, other] of this.#ends) {
      if (!this.#ends.has(end) || !isChosen()) continue;
      for (const each of [end, other]) {
        this.#ends.delete(each);
        each.destroy();
      }
    }
  }

  /** Cuts all connections and resets new ones, as a machine on which nothing listens, until `accept` is called. */
  refuse(): void {
    this.#isRefusing = true;
    this.cut();
  }

  accept(): void {
    this.#isRefusing = false;
  }

  /** Takes nothing more from either side while all connections stay open, until `flow` is called. */
  stall(): void {
    this.#isStalled = true;
    for (const end of this.#ends.keys()) end.pause();
  }

  /** Forgets the connections that are open now, as a firewall does: they stay open, and nothing comes through any more; new
   * ones work. */
  forget(): void {
    for (const end of this.#ends.keys()) end.removeAllListeners("data").pause();
  }

  flow(): void {
    this.#isStalled = false;
    for (const [end, other] of this.#ends) if (!other.writableNeedDrain) end.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    this.cut();
    await closed;
  }

  #join(client: Socket): void {
    client.on("error", () => {}); // `close` follows
    if (this.#isRefusing) return void client.resetAndDestroy();
    const server = connect(this.target, "127.0.0.1");
    for (const [end, other] of [[client, server], [server, client]] as const) {
      this.#ends.set(end, other);
      end.setNoDelay(true);
      end.on("error", () => {});
      end.on("data", (bytes) => {
        if (!other.write(bytes)) end.pause();
      });
      other.on("drain", () => this.#isStalled || end.resume());
      end.on("close", (hasFailed) => {
        this.#ends.delete(end);
        if (hasFailed) other.destroy();
        else other.destroySoon(); // what was said last still arrives
      });
      if (this.#isStalled) end.pause();
    }
  }
}
