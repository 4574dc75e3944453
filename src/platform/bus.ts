/** The event bus: hints between parts and nodes. The database is the truth; a lost hint costs time, never an event. */
import type { Log } from "./log.ts";

export type BusListener = (message: unknown) => void;

export interface Bus extends AsyncDisposable {
  /** Whether hints of other nodes are known to arrive. Always so on the bus of a single node. */
  readonly isHealthy: boolean;
  /** Milliseconds that the last hint took on the way to itself; `null` where there is no way, or it is not known yet. */
  readonly latencyMs: number | null;
  /** Listeners on this node. */
  readonly listenerCount: number;
  /** Hands the message, which must survive JSON, to every listener of the topic, at most once each, in no promised order.
   * Never throws. Listeners on this node have run when it returns. */
  publish(topic: string, message: unknown): void;
  /** Resolves once attached: every message published after that is heard until the returned function is called. While the
   * bus is not healthy it resolves all the same, and messages of other nodes may be lost. */
  subscribe(topic: string, listener: BusListener): Promise<() => void>;
  /** Calls the listener when hints may have been lost and whenever `isHealthy` changes, until the returned function is
   * called: time to ask the database. */
  onDoubt(listener: () => void): () => void;
}

/** The bus of a single node. A throw in one listener is logged and reaches neither the publisher nor the others. */
export class MemoryBus implements Bus {
  readonly isHealthy = true;
  readonly latencyMs = null;
  readonly #listeners = new Map<string, Set<BusListener>>();

  constructor(private readonly log: Log) {}

  get listenerCount(): number {
    return this.#listeners.values().reduce((count, { size }) => count + size, 0);
  }

  /** Topics that somebody listens to. */
  topics(): string[] {
    return [...this.#listeners.keys()];
  }

  publish(topic: string, message: unknown): void {
    for (const listener of [...this.#listeners.get(topic) ?? []]) {
      try {
        listener(message);
      } catch (error) {
        this.log.error("Bus listener failed", { topic, error });
      }
    }
  }

  /** Attaches at once; `subscribe` is this for those who await it. */
  listen(topic: string, listener: BusListener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners);
    const own: BusListener = (message) => listener(message); // subscribed twice, a listener is heard twice
    listeners.add(own);
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) this.#listeners.delete(topic);
    };
  }

  subscribe(topic: string, listener: BusListener): Promise<() => void> {
    return Promise.resolve(this.listen(topic, listener));
  }

  onDoubt(): () => void {
    return () => {};
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
