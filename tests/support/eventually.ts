/** Waiting for what sends no event: counters and gauges of the server. */

const PAUSE_MS = 20;
/** Long enough for anything that should happen at all; what takes this long has been lost. */
const PATIENCE_MS = 30_000;

/** Polls until `isTrue`; fails with what was waited for. */
export async function eventually(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  while (!await isTrue()) {
    if (Date.now() > giveUpAt) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** The promise's value; fails with what was waited for when it never settles, instead of hanging the whole run. */
export async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited in vain: ${what}`)), PATIENCE_MS);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
