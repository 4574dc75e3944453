/** Who has blocked whom, for the people who follow something on this node: what live executions know without asking. */
import type { App } from "../app.ts";
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
  readonly hasBlocked: Set<string>;
  readonly isBlockedBy: Set<string>;
  loaded: Promise<void>;
  users: number;
}

export function liveBlocks(app: App): LiveBlocks {
  return new LiveBlocks(app);
}

export class LiveBlocks implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #unsubscribe: Promise<() => void>;

  constructor(private readonly app: App) {
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
    (await this.#unsubscribe)();
  }

  #open(userId: string): Entry {
    const entry: Entry = { hasBlocked: new Set(), isBlockedBy: new Set(), loaded: Promise.resolve(), users: 0 };
    this.#entries.set(userId, entry);
    entry.loaded = this.#load(userId, entry);
    entry.loaded.catch(() => this.#entries.get(userId) === entry && this.#entries.delete(userId));
    return entry;
  }

  async #load(userId: string, entry: Entry): Promise<void> {
    await this.#unsubscribe; // attach before reading: a block between the two would be lost
    const blocks = await this.app.sql<BlockChange[]>`
      select blocker_id, blocked_id, true as is_blocked
      from blocks
      where blocker_id = ${userId}
        or blocked_id = ${userId}`;
    for (const { blockerId, blockedId } of blocks) {
      if (blockerId === userId) entry.hasBlocked.add(blockedId);
      else entry.isBlockedBy.add(blockerId);
    }
  }

  #apply({ blockerId, blockedId, isBlocked }: BlockChange): void {
    const change = isBlocked ? "add" : "delete";
    this.#entries.get(blockerId)?.hasBlocked[change](blockedId);
    this.#entries.get(blockedId)?.isBlockedBy[change](blockerId);
  }
}
