/** Everything long-lived that clients have open on this node, sockets and SSE streams alike: how many there may be, and
 * how all of them are sent away when the node drains. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { waitingPolls } from "../live/polling.ts";

/** Connections sent away at once while draining, and the most to wait between two batches: clients of one room must not
 * all knock at the next node in the same instant. */
const DRAIN_BATCH = 200;
const DRAIN_PAUSE_MS = 250;
/** How long a client may take to hear that it is sent away; a dead one never does. */
const FAREWELL_MS = 1_000;
const RETRY_MS = 5_000;

export interface Connection {
  /** The node drains: tells the client to come back elsewhere. Resolves when the client has heard it. */
  sendAway(): Promise<void>;
}

export class Connections {
  readonly #open = new Set<Connection>();
  readonly #byUser = new Map<string, number>();
  #isDraining = false;

  constructor(private readonly app: App) {}

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Counts a connection until the returned function is called. Throws UNAVAILABLE at capacity. */
  open(connection: Connection): () => void {
    if (this.#isDraining) throw unavailable("the server is shutting down");
    if (this.#open.size >= this.app.config.maxConnections) throw unavailable("the server is full");
    this.#open.add(connection);
    return () => this.#open.delete(connection);
  }

  /** Counts it as the viewer's until the returned function is called. Throws UNAVAILABLE above the viewer's quota. */
  claim({ userId }: Viewer): () => void {
    const count = this.#byUser.get(userId) ?? 0;
    if (count >= this.app.config.maxConnectionsPerUser) throw unavailable("you have too many connections open");
    this.#byUser.set(userId, count + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const left = (this.#byUser.get(userId) ?? 1) - 1;
      if (left === 0) this.#byUser.delete(userId);
      else this.#byUser.set(userId, left);
    };
  }

  /** Sends everybody away, in batches with random pauses, and answers the requests that wait for events. Resolves when all
   * have heard it, but for dead ones. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.app.once(waitingPolls).drain();
    const all = [...this.#open];
    const farewells: Promise<void>[] = [];
    const halfTheTimeMs = this.app.config.drainSeconds * 500;
    const pauseMs = Math.min(DRAIN_PAUSE_MS, halfTheTimeMs * DRAIN_BATCH / all.length);
    for (let start = 0; start < all.length; start += DRAIN_BATCH) {
      if (start > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * pauseMs));
      for (const connection of all.slice(start, start + DRAIN_BATCH)) farewells.push(connection.sendAway());
    }
    const { promise: patience, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, FAREWELL_MS);
    await Promise.race([Promise.all(farewells), patience]);
    clearTimeout(timer);
  }
}

function unavailable(state: string): AppError {
  return new AppError("UNAVAILABLE", `Cannot connect: ${state}`, { retryAfterMs: RETRY_MS });
}
