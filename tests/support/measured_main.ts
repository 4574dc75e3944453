/** The server with a clock beside it: how long its event loop was blocked at the longest. */
import process from "node:process";
import { loadConfig } from "../../src/config.ts";
import { runUntilSignal, startParley } from "../../src/main.ts";

const TICK_MS = 1;

/** The longest time in which the event loop did nothing else, since the last time that somebody asked. */
export interface LongestBlock {
  readonly ms: number;
  /** CPU that all threads of the process had in it: far less says that other processes had the machine. */
  readonly cpuMs: number;
}

await runUntilSignal(async () => {
  const parley = await startParley(loadConfig());
  const stack = new AsyncDisposableStack();
  stack.use(parley);
  const port = Number(Deno.env.get("MEASURE_PORT"));
  const loop = watchLoop();
  stack.use(Deno.serve({ port, hostname: "127.0.0.1", onListen: () => {} }, () => Response.json(loop.take())));
  parley.app.log.info("Listening", { port: parley.server.port });
  return { app: parley.app, [Symbol.asyncDispose]: () => stack.disposeAsync() };
});

function watchLoop(): { take(): LongestBlock } {
  let longest: LongestBlock = { ms: 0, cpuMs: 0 };
  let [lastMs, lastCpuMs] = [performance.now(), cpuMs()];
  setInterval(() => {
    const [nowMs, nowCpuMs] = [performance.now(), cpuMs()];
    const ms = nowMs - lastMs - TICK_MS;
    if (ms > longest.ms) longest = { ms, cpuMs: nowCpuMs - lastCpuMs };
    [lastMs, lastCpuMs] = [nowMs, nowCpuMs];
  }, TICK_MS);
  return {
    take() {
      const taken = longest;
      longest = { ms: 0, cpuMs: 0 };
      return taken;
    },
  };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
