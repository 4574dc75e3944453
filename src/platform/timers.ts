/** Timers with an owner. */

/** Calls `act` again and again until it is disposed. */
export function repeat(intervalMs: number, act: () => void): AsyncDisposable {
  const timer = setInterval(act, intervalMs);
  return {
    [Symbol.asyncDispose]() {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}
