/** Timers with an owner: who disposes of them, or who awaits their end. */

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

/** The same work, but never twice at a time: while it is being done, a call does nothing. */
export function oneAtATime(work: () => Promise<unknown>): () => Promise<void> {
  let isBusy = false;
  return async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      await work();
    } finally {
      isBusy = false;
    }
  };
}

/** Settles after that time: for a pause that is short, because nothing ends it early. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What the promise says; `null` when it has said nothing after that time. The promise is left to itself then. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  const { promise: timeout, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => resolve(null), ms);
  return await Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
