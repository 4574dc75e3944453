/** The event bus: hints between parts and nodes. The database is the truth; a lost hint costs time, never an event. */
import type { Log } from "./log.ts";

export type BusListener = (message: unknown) => void;

export interface Bus {
  /** Hands the message to every listener of the topic, at most once each, in no promised order. Never throws.
   * Listeners on this node have run when it returns. */
  publish(topic: string, message: unknown): void;
  /** Resolves once attached: every message published after that is heard until the returned function is called. */
  subscribe(topic: string, listener: BusListener): Promise<() => void>;
}

/** The bus of a single node. A throw in one listener is logged and reaches neither the publisher nor the others. */
export class MemoryBus implements Bus {
  readonly #listeners = new Map<string, Set<BusListener>>();

  constructor(private readonly log: Log) {}

  publish(topic: string, message: unknown): void {
    for (const listener of [...this.#listeners.get(topic) ?? []]) {
      try {
        listener(message);
      } catch (error) {
        this.log.error("Bus listener failed", { topic, error });
      }
    }
  }

  subscribe(topic: string, listener: BusListener): Promise<() => void> {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners);
    const own: BusListener = (message) => listener(message); // subscribed twice, a listener is heard twice
    listeners.add(own);
    return Promise.resolve(() => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) this.#listeners.delete(topic);
    });
  }
}
