/** A Redis to do harm to: a process of our own, or one that was given and is left in peace. */
import { Redis } from "ioredis";
import { freePort, isListening } from "../support/ports.ts";
import { becomes } from "./system.ts";

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  /** `null` where the server is not ours to stop. */
  readonly control: RedisControl | null;
  /** Does something on a connection of its own. */
  ask<T>(act: (redis: Redis) => Promise<T>): Promise<T>;
}

export interface RedisControl {
  stop(): Promise<void>;
  /** Empty, on the same port. */
  start(): Promise<void>;
  /** Stops the process where it is: connections stay open, nothing answers. */
  freeze(): void;
  thaw(): void;
}

export async function openRedis(given: string | undefined): Promise<RedisServer> {
  if (given !== undefined) {
    return { url: given, control: null, ask: (act) => ask(given, act), [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const server = new OwnRedis(freePort());
  await server.start();
  const { url } = server;
  return { url, control: server, ask: (act) => ask(url, act), [Symbol.asyncDispose]: () => server.stop() };
}

class OwnRedis implements RedisControl {
  #process: Deno.ChildProcess | null = null;

  constructor(private readonly port: number) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    if (this.#process !== null) return;
    const args = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    this.#process = new Deno.Command("redis-server", { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    const isUp = await becomes(() => isListening(this.port), { withinMs: 5_000 });
    if (!isUp) throw new Error(`Redis does not listen on port ${this.port}`);
  }

  async stop(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    process?.kill("SIGKILL");
    await process?.status;
  }

  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }
}

async function ask<T>(url: string, act: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  try {
    return await act(redis);
  } finally {
    redis.disconnect();
  }
}
