/** A wire between clients and a server, which a test can cut: clients see what they see when their network goes. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Wire implements AsyncDisposable {
  readonly #ends = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  /** A wire to the port of this machine. */
  static async to(port: number): Promise<Wire> {
    const server = createServer();
    const wire = new Wire(server);
    server.on("connection", (client) => wire.#join(client, connect(port, "127.0.0.1")));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return wire;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/graphql`;
  }

  get socketUrl(): string {
    return `ws://127.0.0.1:${this.#port}/graphql`;
  }

  /** Cuts every connection that is open now; new ones work. */
  cut(): void {
    for (const end of this.#ends) end.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    this.cut();
    await closed;
  }

  get #port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  #join(...[client, server]: [Socket, Socket]): void {
    for (const [end, other] of [[client, server], [server, client]] as const) {
      this.#ends.add(end);
      end.on("error", () => {}); // `close` follows
      end.on("close", () => {
        this.#ends.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  }
}
