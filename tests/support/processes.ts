/** The server as people run it: a process of its own, which a test can kill. */
import { join } from "node:path";
import { type Api, apiAt } from "./app.ts";
import { ROOT } from "./code.ts";

export const PERMISSIONS = ["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-run"];
/** What Deno itself needs; settings of the developer's shell must not leak in. */
const INHERITED = ["PATH", "HOME", "DENO_DIR", "TMPDIR"];

export function inheritedEnv(): Record<string, string> {
  return Object.fromEntries(INHERITED.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

export class ServerProcess implements AsyncDisposable {
  /** How it ended, once it has. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #listening = Promise.withResolvers<number>();
  readonly #reading: Promise<void>;
  #printed = "";

  /** Does not wait until the server listens, or whether it ever will. (Default of `main`: the server itself) */
  constructor(env: Record<string, string>, main = "src/main.ts") {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", ...PERMISSIONS, join(ROOT, main)],
      clearEnv: true,
      env: { ...inheritedEnv(), PORT: "0", RATE_LIMITS: "off", LOG_LEVEL: "info", ...env },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.status = this.#child.status;
    this.#listening.promise.catch(() => {}); // not every test waits for it
    this.#reading = this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The API, once it listens. Fails with what the process printed when it ends before. */
  async api(): Promise<Api> {
    return apiAt(await this.#listening.promise);
  }

  /** Memory that it holds now (Linux). Another process looks: a test that could read `/proc` would need all permissions. */
  async residentBytes(): Promise<number> {
    const look = `console.log(Deno.readTextFileSync("/proc/${this.#child.pid}/status"))`;
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", look] }).output();
    return Number(/VmRSS:\s+(\d+) kB/.exec(new TextDecoder().decode(stdout))?.[1]) * 1024;
  }

  /** Sends the signal and waits for nothing: the process may go on. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Sends the signal, waits for the end and says how it was. */
  async kill(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    this.#child.kill(signal);
    await this.#reading;
    return await this.status;
  }

  /** All that it printed until it ended. */
  async printed(): Promise<string> {
    await this.#reading;
    return this.#printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // has ended already
    }
    await this.#reading;
    await this.status;
  }

  async #read(): Promise<void> {
    let isListening = false;
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#printed += text;
      if (isListening) continue; // a server in trouble prints a lot
      const [, port] = /"message":"Listening",.*"port":(\d+)/.exec(this.#printed) ?? [];
      if (port === undefined) continue;
      isListening = true;
      this.#listening.resolve(Number(port));
    }
    this.#listening.reject(new Error(`The server ended: ${this.#printed}`));
  }
}
