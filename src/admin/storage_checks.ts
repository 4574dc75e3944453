/** Whether the storage of files answers: asked when somebody wants to know, and not again for some seconds. */
import type { App } from "../app.ts";
import { within } from "../platform/timers.ts";

/** Milliseconds that an answer may take. */
const ANSWER_MS_MAX = 2_000;
/** Milliseconds for which an answer counts, and one that says no: anybody may ask, and a storage may charge for each. */
const COUNTS_MS = 5_000;
const REFUSAL_COUNTS_MS = 1_000;

/** One per app (`app.once`). */
export class StorageChecks implements AsyncDisposable {
  #check: Promise<number | null> = Promise.resolve(null);
  #endsAtMs = -Infinity;
  #wasUp = true;

  constructor(private readonly app: App) {}

  /** Milliseconds that the storage took to answer; `null` when it did not, or said that it fails. */
  async ask(): Promise<number | null> {
    if (performance.now() >= this.#endsAtMs) {
      this.#endsAtMs = Infinity; // one at a time
      this.#check = this.#ask();
    }
    return await within(ANSWER_MS_MAX, this.#check);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#check;
  }

  async #ask(): Promise<number | null> {
    const startMs = performance.now();
    const state = await this.app.files.check().then(() => null, (error) => error.message);
    if (state !== null && this.#wasUp) this.app.log.warn("The storage of files is away", { state });
    if (state === null && !this.#wasUp) this.app.log.info("The storage of files is back");
    this.#wasUp = state === null;
    this.#endsAtMs = performance.now() + (this.#wasUp ? COUNTS_MS : REFUSAL_COUNTS_MS);
    return this.#wasUp ? performance.now() - startMs : null;
  }
}

export function storageChecks(app: App): StorageChecks {
  return new StorageChecks(app);
}
