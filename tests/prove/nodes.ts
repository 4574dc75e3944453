/** One Parley node: a process behind a wire that keeps its address while the process comes and goes. */
import { ServerProcess } from "../support/processes.ts";
import { Wire } from "../support/wires.ts";

export class Node implements AsyncDisposable {
  /** How processes ended that nobody had told to. */
  readonly unexpectedEnds: string[] = [];
  readonly #told = new WeakSet<ServerProcess>();
  readonly #hasEnded = new WeakSet<ServerProcess>();

  private constructor(
    readonly name: string,
    readonly wire: Wire,
    private readonly create: () => ServerProcess,
    private process: ServerProcess,
  ) {}

  static async start(name: string, env: Record<string, string>, main?: string): Promise<Node> {
    const create = () => new ServerProcess(env, main);
    const process = create();
    const { port } = new URL((await process.api()).url);
    const node = new Node(name, await Wire.to(Number(port)), create, process);
    node.#watch(process);
    return node;
  }

  get pid(): number {
    return this.process.pid;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.#told.add(this.process);
    await this.process.kill("SIGKILL");
  }

  /** SIGTERM; returns the exit code and how long it took. */
  async drain(): Promise<{ readonly code: number; readonly ms: number }> {
    this.#told.add(this.process);
    const startMs = performance.now();
    const { code } = await this.process.kill("SIGTERM");
    return { code, ms: performance.now() - startMs };
  }

  freeze(): void {
    this.process.signal("SIGSTOP");
  }

  thaw(): void {
    this.process.signal("SIGCONT");
  }

  /** Starts it anew after it has ended; returns when it listens. */
  async start(): Promise<void> {
    this.process = this.create();
    this.#watch(this.process);
    const { port } = new URL((await this.process.api()).url);
    this.wire.target = Number(port);
  }

  /** Brings it back to how it was in the beginning, whatever was done to it. */
  async heal(): Promise<void> {
    this.wire.accept();
    this.wire.flow();
    if (this.#hasEnded.has(this.process)) await this.start();
    else this.thaw();
  }

  residentBytes(): Promise<number> {
    return this.process.residentBytes();
  }

  /** What `/metrics` says now; `NaN` for what it does not know. */
  async metrics(): Promise<(name: string) => number> {
    const text = await (await fetch(this.wire.url.replace("/graphql", "/metrics"))).text();
    return (name) => Number(new RegExp(`^${RegExp.escape(name)} (\\S+)`, "m").exec(text)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#told.add(this.process);
    await this.process[Symbol.asyncDispose]();
    await this.wire[Symbol.asyncDispose]();
  }

  #watch(process: ServerProcess): void {
    process.status.then(({ code, signal }) => {
      this.#hasEnded.add(process);
      if (!this.#told.has(process)) this.unexpectedEnds.push(`node ${this.name} ended with ${signal ?? code}`);
    });
  }
}
