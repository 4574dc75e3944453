/** An S3 server that has stopped where it stood, as a frozen machine does. */
import type { S3Config } from "../../src/config.ts";
import { eventually } from "./eventually.ts";

/** Takes every request and answers none. */
export class HangingStorage implements AsyncDisposable {
  /** Connections, of which each carries one request. */
  count = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections: Deno.TcpConn[] = [];
  readonly #accepting = this.#accept();

  get config(): S3Config {
    const endpoint = `http://127.0.0.1:${this.#listener.addr.port}`;
    return { endpoint, bucket: "parley", region: "us-east-1", accessKeyId: "key", secretAccessKey: "secret" };
  }

  async asked(count: number): Promise<void> {
    await eventually(`${count} requests`, () => this.count >= count);
  }

  hangUp(): void {
    for (const connection of this.#connections.splice(0)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    this.hangUp();
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#connections.push(connection);
      this.count++;
    }
  }
}
