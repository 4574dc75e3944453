/** A server in a process of its own, and what it and its image workers take of the machine (Linux). */
import type { Api } from "./app.ts";
import type { LongestBlock } from "./measured_main.ts";
import { freePort } from "./ports.ts";
import { ServerProcess } from "./processes.ts";

/** What `/proc` counts in. */
const TICK_MS = 10;

export class MeasuredServer implements AsyncDisposable {
  readonly #port = freePort();
  readonly #process: ServerProcess;

  constructor(env: Record<string, string>) {
    this.#process = new ServerProcess({ ...env, MEASURE_PORT: String(this.#port) }, "tests/support/measured_main.ts");
  }

  async api(): Promise<Api> {
    return await this.#process.api();
  }

  /** Since the last call. */
  async takeLongestBlock(): Promise<LongestBlock> {
    return await (await fetch(`http://127.0.0.1:${this.#port}`)).json();
  }

  /** CPU of the server alone, all threads. */
  async cpuMs(): Promise<number> {
    return await cpuMsOf(String(this.#process.pid));
  }

  /** How long the thread of the event loop had something to do, and no processor: other processes had them. */
  async waitedMs(): Promise<number> {
    const [, waitedNs] = (await read(`cat /proc/${this.#process.pid}/schedstat`)).split(" ");
    return Number(waitedNs) / 1e6;
  }

  /** CPU of the image workers that run. */
  async workerCpuMs(): Promise<number> {
    const children = await read(`cat /proc/${this.#process.pid}/task/*/children`);
    const times = children.split(" ").filter((pid) => pid.trim() !== "").map(cpuMsOf);
    return (await Promise.all(times)).reduce((sum, ms) => sum + ms, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

async function cpuMsOf(pid: string): Promise<number> {
  const stat = await read(`cat /proc/${pid}/stat`);
  const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) * TICK_MS;
}

/** Another process looks: to read `/proc` takes all permissions. */
async function read(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  return new TextDecoder().decode(stdout).trim();
}
