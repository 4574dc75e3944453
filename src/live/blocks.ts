/** Who has blocked whom, for the people who follow something on this node: what live executions know without asking. */
import type { App } from "../app.ts";
import { keepSweeping } from "../platform/sweeps.ts";
import type { Relation } from "../rooms/relations.ts";
import { type BlockChange, BLOCKS_TOPIC, isBlockChange } from "../users/blocks.ts";

type Blocks = Pick<Relation, "hasBlocked" | "isBlockedBy">;

/** A hold on one user's blocks. */
export interface WatchedBlocks {
  /** Settles when they are known. */
  readonly loaded: Promise<void>;
  with(userId: string): Blocks;
  release(): void;
}

interface Entry {
  hasBlocked: Set<string>;
  isBlockedBy: Set<string>;
  loaded: Promise<void>;
  users: number;
  /** Hints that were applied. */
  changes: number;
}

export function liveBlocks(app: App): LiveBlocks {
  return new LiveBlocks(app);
}

export class LiveBlocks implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #unsubscribe: Promise<() => void>;
  readonly #sweeps: AsyncDisposable;

  constructor(private readonly app: App) {
    this.#sweeps = keepSweeping(app, () => this.#read([...this.#entries.keys()]));
    this.#unsubscribe = app.bus.subscribe(BLOCKS_TOPIC, (message) => {
      if (isBlockChange(message)) this.#apply(message);
    });
  }

  watch(userId: string): WatchedBlocks {
    const entry = this.#entries.get(userId) ?? this.#open(userId);
    entry.users++;
    let isReleased = false;
    return {
      loaded: entry.loaded,
      with: (other) => ({ hasBlocked: entry.hasBlocked.has(other), isBlockedBy: entry.isBlockedBy.has(other) }),
      release: () => {
        if (isReleased) return;
        isReleased = true;
        if (--entry.users === 0 && this.#entries.get(userId) === entry) this.#entries.delete(userId);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeps[Symbol.asyncDispose]();
    (await this.#unsubscribe)();
  }

  #open(userId: string): Entry {
    const loaded = Promise.resolve();
    const entry: Entry = { hasBlocked: new Set(), isBlockedBy: new Set(), loaded, users: 0, changes: 0 };
    this.#entries.set(userId, entry);
    // Attach before reading: a block between the two would be lost.
    entry.loaded = this.#unsubscribe.then(() => this.#load(userId, entry));
    entry.loaded.catch(() => this.#entries.get(userId) === entry && this.#entries.delete(userId));
    return entry;
  }

  /** Adds to what hints have told meanwhile. */
  async #load(userId: string, entry: Entry): Promise<void> {
    for (const { blockerId, blockedId } of await this.#list([userId])) {
      if (blockerId === userId) entry.hasBlocked.add(blockedId);
      else entry.isBlockedBy.add(blockerId);
    }
  }

  /** Reads the blocks of these users anew, but for those of whom a hint comes meanwhile. */
  async #read(userIds: readonly string[]): Promise<void> {
    if (userIds.length === 0) return;
    const before = new Map([...this.#entries].map(([userId, entry]) => [userId, { entry, changes: entry.changes }]));
    const blocks = await this.#list(userIds);
    const blockedBy = Map.groupBy(blocks, ({ blockerId }) => blockerId);
    const blockersOf = Map.groupBy(blocks, ({ blockedId }) => blockedId);
    for (const userId of userIds) {
      const { entry, changes } = before.get(userId) ?? {};
      if (entry === undefined || entry.changes !== changes) continue;
      entry.hasBlocked = new Set(blockedBy.get(userId)?.map(({ blockedId }) => blockedId));
      entry.isBlockedBy = new Set(blockersOf.get(userId)?.map(({ blockerId }) => blockerId));
    }
  }

  async #list(userIds: readonly string[]): Promise<BlockChange[]> {
    return await this.app.sql<BlockChange[]>`
      select blocker_id, blocked_id, true as is_blocked
      from blocks
      where blocker_id = any(${userIds as string[]}::uuid[])
        or blocked_id = any(${userIds as string[]}::uuid[])`;
  }

  #apply({ blockerId, blockedId, isBlocked }: BlockChange): void {
    const change = isBlocked ? "add" : "delete";
    const [blocker, blocked] = [this.#entries.get(blockerId), this.#entries.get(blockedId)];
    blocker?.hasBlocked[change](blockedId);
    blocked?.isBlockedBy[change](blockerId);
    for (const entry of [blocker, blocked]) if (entry) entry.changes++;
  }
}
