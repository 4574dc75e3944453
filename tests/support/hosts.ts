/** One address on which a server runs, ends and runs again. */
import { type Api, apiAt } from "./app.ts";
import { ServerProcess } from "./processes.ts";

export class Host implements AsyncDisposable {
  crashes = 0;
  /** Settles when the server that runs now, or the one after the restart, listens. */
  isUp: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly port: number,
    readonly api: Api,
    private readonly env: Record<string, string>,
    private server: ServerProcess,
  ) {}

  static async start(env: Record<string, string>): Promise<Host> {
    const server = new ServerProcess(env);
    const { port } = new URL((await server.api()).url);
    return new Host(Number(port), apiAt(Number(port)), { ...env, PORT: port }, server);
  }

  crash(): void {
    this.crashes++;
    this.isUp = this.#restart("SIGKILL");
  }

  /** Ends the server as its operator does, and starts it again. Resolves when it listens. */
  async restart(): Promise<void> {
    await (this.isUp = this.#restart("SIGTERM"));
  }

  async #restart(signal: Deno.Signal): Promise<void> {
    await this.server.kill(signal);
    this.server = new ServerProcess(this.env);
    await this.server.api();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.isUp;
    await this.server[Symbol.asyncDispose]();
  }
}
