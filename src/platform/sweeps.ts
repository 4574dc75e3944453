/** Sweeps compare what hints said with the database: the bound on a lost hint. */
import type { Bus } from "./bus.ts";
import { isAway } from "./sql.ts";

const SWEEP_MS = 5_000;
/** Where hints are known to be lost. */
const DOUBTFUL_SWEEP_MS = 2_000;

interface Sweeper {
  readonly bus: Bus;
  background(promise: Promise<unknown>): void;
}

/** Sweeps every 5 s until it is disposed, every 2 s while the bus is not healthy, and at once when hints may have been
 * lost; never twice at a time. */
export function keepSweeping({ bus, background }: Sweeper, sweep: () => Promise<void>): AsyncDisposable {
  let [isSweeping, isDue, isOver] = [false, false, false];
  let timer: ReturnType<typeof setTimeout>;
  const plan = () => {
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(start, bus.isHealthy ? SWEEP_MS : DOUBTFUL_SWEEP_MS);
  };
  const start = () => {
    isDue = true;
    if (!isSweeping) background(run());
  };
  const run = async () => {
    isSweeping = true;
    try {
      while (isDue && !isOver) {
        isDue = false;
        await sweep().catch((error) => {
          if (!isAway(error)) throw error; // the next one finds what this one could not
        });
      }
    } finally {
      isSweeping = false;
      plan();
    }
  };
  const stopDoubting = bus.onDoubt(start);
  plan();
  return {
    [Symbol.asyncDispose]() {
      isOver = true;
      clearTimeout(timer);
      stopDoubting();
      return Promise.resolve();
    },
  };
}
