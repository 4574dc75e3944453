/** Everything long-lived that clients have open on this node, sockets and SSE streams alike: how many there may be, and
 * how all of them are sent away when the node drains. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { addressKey } from "../lib/addresses.ts";
import { waitingPolls } from "../live/polling.ts";
import { pause, within } from "../platform/timers.ts";

/** Connections sent away at once while draining, and the most to wait between two batches: clients of one room must not
 * all knock at the next node in the same instant. */
const DRAIN_BATCH = 200;
const DRAIN_PAUSE_MS = 250;
/** How long a client may take to hear that it is sent away; a dead one never does. */
const FAREWELL_MS = 1_000;
const RETRY_MS = 5_000;

/** Milliseconds between two warnings that an address has too many connections. */
const WARNING_PAUSE_MS = 60_000;
/** How long a connection that is closed keeps its places while its peer does not answer. What the kernel still holds for
 * such a peer is no longer counted then, but is bounded by the kernel's own patience; without this limit a phone that
 * has lost its network would lock its owner out of the quota for the quarter of an hour that TCP tries again. */
const LINGER_MS = 20_000;

export interface OpenConnection {
  /** The node drains: tells the client to come back elsewhere. Resolves when the client has heard it. */
  sendAway(): Promise<void>;
}

export class Connections {
  readonly #open = new Set<OpenConnection>();
  readonly #byUser = new Tally();
  readonly #byAddress = new Tally();
  readonly #lingering = new Set<DisposableStack>();
  #warnedAtMs = -Infinity;
  #isDraining = false;
  #isDrained = false;

  constructor(private readonly app: App) {}

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Counts a connection until the returned function is called. Throws UNAVAILABLE at capacity, and above the quota of
   * its address; one without an address has no such quota. */
  open(connection: OpenConnection, ipAddress: string | null): () => void {
    const { maxConnections, maxConnectionsPerAddress } = this.app.config;
    if (this.#isDraining) throw unavailable("the server is shutting down");
    if (this.#open.size >= maxConnections) throw unavailable("the server is full");
    const leave = ipAddress === null ? () => {} : this.#byAddress.take(addressKey(ipAddress), maxConnectionsPerAddress);
    if (leave === null) {
      this.#warn(ipAddress);
      throw unavailable("your address has too many connections open");
    }
    this.#open.add(connection);
    return () => {
      leave();
      this.#open.delete(connection);
    };
  }

  /** Counts it as the viewer's until the returned function is called. Throws UNAVAILABLE above the viewer's quota. */
  claim({ userId }: Viewer): () => void {
    const leave = this.#byUser.take(userId, this.app.config.maxConnectionsPerUser);
    if (leave === null) throw unavailable("you have too many connections open");
    return leave;
  }

  /** Frees the places of a connection that is closed: when its peer has gone, which disposes them, or soon after. */
  linger(places: DisposableStack): void {
    if (places.disposed) return;
    if (this.#isDrained) return places.dispose();
    this.#lingering.add(places);
    const timer = setTimeout(() => places.dispose(), LINGER_MS);
    places.defer(() => {
      clearTimeout(timer);
      this.#lingering.delete(places);
    });
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
      if (start > 0) await pause(Math.random() * pauseMs);
      for (const connection of all.slice(start, start + DRAIN_BATCH)) farewells.push(connection.sendAway());
    }
    await within(FAREWELL_MS, Promise.all(farewells));
    this.#isDrained = true;
    for (const places of this.#lingering) places.dispose();
  }

  /** Behind a proxy that is not trusted all clients have one address: whoever runs the server must learn of it. */
  #warn(ipAddress: string | null): void {
    const now = performance.now();
    if (now - this.#warnedAtMs < WARNING_PAUSE_MS) return;
    this.#warnedAtMs = now;
    this.app.log.warn(
      "Refused a connection: its address has MAX_CONNECTIONS_PER_ADDRESS open; if it is that of a proxy, " +
        "name it in TRUSTED_PROXIES",
      { ipAddress, maxConnectionsPerAddress: this.app.config.maxConnectionsPerAddress },
    );
  }
}

/** How many each key has; one that has none is forgotten. */
class Tally {
  readonly #counts = new Map<string, number>();

  /** Counts one more until the returned function is called; `null` where the key has so many already. */
  take(key: string, max: number): (() => void) | null {
    const count = this.#counts.get(key) ?? 0;
    if (count >= max) return null;
    this.#counts.set(key, count + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const left = (this.#counts.get(key) ?? 1) - 1;
      if (left === 0) this.#counts.delete(key);
      else this.#counts.set(key, left);
    };
  }
}

function unavailable(state: string): AppError {
  return new AppError("UNAVAILABLE", `Cannot connect: ${state}`, { retryAfterMs: RETRY_MS });
}
