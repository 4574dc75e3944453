/** This node and the others: who is connected to which. Each holds a lease in the database, renewed by one heartbeat however
 * many sockets it has; who was connected to a node that died is offline when another finds its lease expired. */
import type { App } from "../app.ts";
import { isAway } from "../platform/sql.ts";
import { pause, repeat } from "../platform/timers.ts";
import { Directory, isNodeHint } from "./directory.ts";
import {
  changeConnections,
  countNodes,
  endLease,
  LEASE_SECONDS,
  listConnections,
  type NodeCounts,
  type NodeRow,
  reapNodes,
  registerNode,
  renewLease,
} from "./leases.ts";

const BEAT_MS = 2_000;
/** How long one whose last connection has gone is still shown online: a reloaded tab comes back sooner. */
const GRACE_SECONDS = 5;
/** How long a node may be missing in the database before it counts as gone: after a crash, which empties the table, each
 * writes itself again with its next heartbeat. */
const MISSING_MS = 2 * BEAT_MS;
/** A node that was itself away for longer does not judge others by their leases: they may have been away with it. */
const JUDGE_MS = 3 * BEAT_MS;
const RETRY_MS = 1_000;

const NODES_TOPIC = "nodes";
const ENDED_TOPIC = "nodes:ended";

export function nodes(app: App): Nodes {
  return new Nodes(app);
}

export class Nodes implements AsyncDisposable {
  readonly #id = crypto.randomUUID();
  readonly #startMs = performance.now();
  readonly #sockets = new Map<string, number>();
  readonly #leaving = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #goneListeners = new Set<(userId: string) => void>();
  readonly #changeListeners = new Set<(userIds: readonly string[]) => void>();
  readonly #directory = new Directory((userIds) => {
    for (const listener of this.#changeListeners) listener(userIds);
  });
  /** Users of whom the database may not know yet that they have come or gone. */
  readonly #changed = new Set<string>();
  /** Whether the database may have other connections of this node than the directory: what was last sent to it may have been
   * done without an answer, or another node has deleted this one. */
  #isAdrift = false;
  #isWriting = false;
  #isFailing = false;
  #storing = Promise.resolve();
  readonly #missingSince = new Map<string, number>();
  readonly #hints: Promise<readonly (() => void)[]>;
  #timer: AsyncDisposable | null = null;
  #isBeating = false;
  #beatMs = -Infinity;
  #hasWarned = false;
  #isClosed = false;

  constructor(private readonly app: App) {
    this.#hints = Promise.all([
      app.bus.subscribe(NODES_TOPIC, (message) => this.#hear(message)),
      app.bus.subscribe(ENDED_TOPIC, (message) => {
        if (Array.isArray(message)) { for (const id of message) this.#forget(String(id)); }
      }),
    ]);
  }

  /** Takes a lease, and learns who is connected to the other nodes. */
  async start(): Promise<void> {
    await this.#hints;
    await this.#beat();
    await this.settled();
    this.#timer = repeat(BEAT_MS, () => {
      if (!this.#isBeating) this.app.background(this.#beat());
    });
  }

  /** Whether the user is connected to any node, or was a moment ago. */
  has(userId: string): boolean {
    return this.#isHere(userId) || this.#directory.has(userId);
  }

  /** Resolves when `connections` in the database has everybody who has come to this node by now, unless it is away. */
  async settled(): Promise<void> {
    while (this.#isWriting && !this.#isFailing) await this.#storing;
  }

  /** Calls the listener with each user whose last connection to this node goes, at once. */
  onGone(listener: (userId: string) => void): void {
    this.#goneListeners.add(listener);
  }

  /** Calls the listener with users who have come to their first node, or have left their last one for good. */
  onChange(listener: (userIds: readonly string[]) => void): void {
    this.#changeListeners.add(listener);
  }

  /** Counts a connection of the user until the returned function is called. */
  arrive(userId: string): () => void {
    clearTimeout(this.#leaving.get(userId));
    this.#leaving.delete(userId);
    this.#sockets.set(userId, (this.#sockets.get(userId) ?? 0) + 1);
    this.#note(userId);
    let hasLeft = false;
    return () => {
      if (!hasLeft) this.#depart(userId);
      hasLeft = true;
    };
  }

  async count(): Promise<NodeCounts> {
    const { nodes, sockets } = await countNodes(this.app, this.#id);
    return { nodes, sockets: sockets + await this.#countSockets() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#timer?.[Symbol.asyncDispose]();
    for (const stop of await this.#hints) stop();
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    if (this.#timer === null) return;
    await this.#storing;
    const userIds = this.#here();
    await endLease(this.app, { id: this.#id, userIds, graceSeconds: GRACE_SECONDS }).catch((error) => {
      this.app.log.warn("Cannot note who was online", { error }); // another node will, when the lease is over
    });
  }

  #here(): string[] {
    return [...new Set([...this.#sockets.keys(), ...this.#leaving.keys()])];
  }

  #isHere(userId: string): boolean {
    return this.#sockets.has(userId) || this.#leaving.has(userId);
  }

  #depart(userId: string): void {
    const left = (this.#sockets.get(userId) ?? 1) - 1;
    if (left > 0) return void this.#sockets.set(userId, left);
    if (this.#isClosed) return;
    this.#sockets.delete(userId);
    const timer = setTimeout(() => {
      this.#leaving.delete(userId);
      this.#note(userId);
    }, GRACE_SECONDS * 1000);
    this.#leaving.set(userId, timer);
    for (const listener of this.#goneListeners) listener(userId);
  }

  #note(userId: string): void {
    this.#changed.add(userId);
    this.#wake();
  }

  #wake(): void {
    if (this.#isWriting || this.#isClosed) return;
    this.#isWriting = true;
    this.app.background(this.#write());
  }

  // Who comes or goes meanwhile goes into the next statement: a crowd that reconnects is a few statements and hints.
  async #write(): Promise<void> {
    try {
      while ((this.#changed.size > 0 || this.#isAdrift) && !this.#isClosed) {
        const userIds = [...this.#changed];
        this.#changed.clear();
        this.#storing = this.#store(userIds);
        await this.#storing;
        if (this.#isFailing) await pause(RETRY_MS);
      }
    } finally {
      this.#isWriting = false; // not a microtask later: a change that came in between would be stored by nobody
    }
  }

  /** Never rejects: what could not be stored is tried again. */
  async #store(userIds: readonly string[]): Promise<void> {
    try {
      await this.#storeChanges(userIds);
      this.#isFailing = false;
    } catch (error) {
      this.#isFailing = this.#isAdrift = true;
      for (const userId of userIds) this.#changed.add(userId);
      if (!isAway(error)) this.app.log.error("Cannot store who is connected, trying again", { error });
    }
  }

  async #storeChanges(userIds: readonly string[]): Promise<void> {
    if (this.#isAdrift) await this.#register(userIds);
    const { version: known = -1, userIds: stored } = this.#directory.find(this.#id) ?? {};
    const arrived = userIds.filter((userId) => this.#isHere(userId) && !stored?.has(userId));
    const left = userIds.filter((userId) => !this.#isHere(userId) && stored?.has(userId));
    if (arrived.length + left.length === 0) return;
    const version = await changeConnections(this.app, this.#id, { arrived, left, leftSeconds: GRACE_SECONDS });
    if (version === known + 1) return this.app.bus.publish(NODES_TOPIC, { nodeId: this.#id, version, arrived, left });
    this.#isAdrift = true;
    for (const userId of userIds) this.#changed.add(userId);
  }

  /** Others learn of it by their heartbeats. Those of `changed` who were stored stay so: they leave in the ordinary way, which
   * notes when they were seen. */
  async #register(changed: readonly string[]): Promise<void> {
    this.#isAdrift = false;
    const stored = this.#directory.find(this.#id)?.userIds;
    const leaving = changed.filter((userId) => stored?.has(userId));
    const userIds = [...new Set([...this.#here(), ...leaving])];
    this.#directory.set(this.#id, { version: await registerNode(this.app, this.#id, userIds), userIds });
  }

  #forget(id: string): void {
    if (id !== this.#id) this.#directory.delete(id); // if others took this one for dead, it registers again
  }

  #hear(message: unknown): void {
    if (!isNodeHint(message) || this.#directory.apply(message)) return;
    this.app.background(this.#read([message.nodeId]));
  }

  async #read(ids: readonly string[]): Promise<void> {
    for (const node of await listConnections(this.app, ids)) this.#directory.set(node.id, node);
  }

  async #beat(): Promise<void> {
    this.#isBeating = true;
    try {
      const { version, others } = await renewLease(this.app, { id: this.#id, sockets: await this.#countSockets() });
      const wasAway = performance.now() - this.#beatMs > JUDGE_MS;
      this.#beatMs = performance.now();
      this.#compareOwn(version);
      await this.#compare(others);
      if (!wasAway && others.some(({ isExpired }) => isExpired)) {
        this.app.bus.publish(ENDED_TOPIC, await reapNodes(this.app, this.#id));
      }
    } catch (error) {
      if (!isAway(error)) throw error; // the next one comes soon
    } finally {
      this.#isBeating = false;
    }
  }

  /** All own writes go one after the other through `#write`: two at once could undo each other. */
  #compareOwn(version: number | null): void {
    const known = this.#directory.find(this.#id)?.version ?? -1;
    const isAhead = version !== null && version > known && !this.#isWriting; // else its answer is on the way
    if (version !== null && !isAhead) return;
    this.#isAdrift = true;
    this.#wake();
  }

  async #compare(others: readonly NodeRow[]): Promise<void> {
    const stale = others.filter(({ id, version }) => version > (this.#directory.find(id)?.version ?? -1));
    if (stale.length > 0) await this.#read(stale.map(({ id }) => id));
    this.#warnOfStrangers(others);
    const nowMs = performance.now();
    const there = new Set([this.#id, ...others.map(({ id }) => id)]);
    for (const id of this.#directory.nodeIds()) {
      const sinceMs = this.#missingSince.get(id) ?? nowMs;
      if (there.has(id)) this.#missingSince.delete(id);
      else if (nowMs - sinceMs < MISSING_MS) this.#missingSince.set(id, sinceMs);
      else {
        this.#missingSince.delete(id);
        this.#directory.delete(id);
      }
    }
  }

  #warnOfStrangers(others: readonly NodeRow[]): void {
    const { app } = this;
    // Until then it may be what an earlier process has left.
    const isCertain = performance.now() - this.#startMs > 2 * LEASE_SECONDS * 1000;
    if (app.config.redisUrl !== null || this.#hasWarned || !isCertain) return;
    if (!others.some(({ isExpired }) => !isExpired)) return;
    this.#hasWarned = true;
    app.log.warn("Another node uses this database: without REDIS_URL they hear of each other up to 5 s late");
  }

  async #countSockets(): Promise<number> {
    return (await this.app.metrics.sockets.get()).values[0]?.value ?? 0;
  }
}
