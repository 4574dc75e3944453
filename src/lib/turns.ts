/** Work of which only so much may be done at once: the others wait, first come, first served. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(private readonly max: number) {}

  /** How many wait just now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** What must not wait for another turn, or all may wait for ever. */
  async take<T>(act: () => Promise<T>): Promise<T> {
    if (this.#taken < this.max) this.#taken++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // the turn is handed on
    try {
      return await act();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#taken--;
    }
  }
}
