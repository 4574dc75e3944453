/** Work that comes in pieces, a few in each turn of the event loop: whatever else waits has its turn in between. */
import { pause } from "../platform/timers.ts";

export class Pacer implements AsyncDisposable {
  #left: number;
  readonly #waiting: (() => void)[] = [];
  #running: Promise<void> | null = null;

  constructor(
    /** Pieces in one turn. */
    private readonly size: number,
  ) {
    this.#left = size;
  }

  /** Resolves when it is the turn of this piece; first come, first served. */
  async take(): Promise<void> {
    this.#running ??= this.#run();
    if (this.#left > 0) this.#left--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async #run(): Promise<void> {
    do {
      await pause(0);
      const next = this.#waiting.splice(0, this.size);
      this.#left = this.size - next.length;
      for (const resolve of next) resolve();
    } while (this.#left < this.size);
    this.#running = null;
  }

  /** Resolves when nothing waits any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running;
  }
}
