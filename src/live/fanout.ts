/** Fan-out: followers who asked for the same thing form a group. A batch is executed and encoded once for all of them.
 *
 * Each follower has a cursor. Behind the group it pulls batches at its own pace; level with the group it is live and is
 * handed what comes. One that reads too slowly falls back to pulling, so nothing is queued without a bound. */
import type { App } from "../app.ts";
import { isAway } from "../platform/sql.ts";
import { pause } from "../platform/timers.ts";
import type { Reader } from "../rooms/relations.ts";
import { isRemovalOf, type LiveEvent, type RoomStream } from "./room_stream.ts";
import { BEHIND_BYTES, CAUGHT_UP_BYTES, type EndReason, LogCut, type Sink, STALLED_MS } from "./subscriptions.ts";

/** Encoded batches that a group keeps for followers who are a moment behind, and their size together. */
const RECENT_BATCHES_MAX = 64;
const RECENT_BYTES_MAX = 1024 * 1024;
const RETRY_MS_MAX = 2_000;

/** One delivery: the events after the one before, and the position after the last of them. */
export interface RoomBatch {
  readonly cursor: string;
  readonly events: readonly LiveEvent[];
}

/** An executed and encoded batch. */
export interface Rendered {
  /** Length of the encoding in UTF-16 units. */
  readonly size: number;
  /** The JSON for one reader; the same string for all where nothing depends on who reads. */
  bodyFor(reader: Reader): string;
}

/** What a transport knows of a subscription's operation. */
export interface Renderer {
  /** Followers with the same key are served by the same executions. May change once `render` has thrown `NeedsViewer`. */
  key(): string;
  /** Executes and encodes the value once for many. Throws `NeedsViewer` where the operation does not allow that. */
  render(value: object, facts?: SharedFacts): Promise<Rendered>;
}

/** What holds for every reader of a shared execution, so that nobody needs to be asked. */
export interface SharedFacts {
  /** The room that is all that the readers are known to share with others: with its members, not with who has left it. */
  readonly roomId?: string;
  /** Who types in a room: none of the readers, and nobody that one of them must not see. */
  readonly typing?: { readonly roomId: string; readonly userIds: readonly string[] };
}

export class NeedsViewer extends Error {
  override readonly name = "NeedsViewer";
}

export interface Follower {
  /** Facts about the reader. Role and mute are those of `readerSeq` and follow the events after it. */
  reader: Reader;
  readonly readerSeq: number;
  /** A removal of the reader that is older than this belongs to an earlier membership. */
  readonly joinedSeq: number;
  readonly renderer: Renderer;
  readonly sink: Sink;
  /** Sent before anything else, then `null`. */
  first: RoomBatch | null;
  /** Seq of the last event that was sent. */
  cursor: number;
}

interface Batch {
  readonly last: LiveEvent;
  /** Events of the batch that change what its readers may do. */
  readonly changes: readonly LiveEvent[];
  readonly rendered: Rendered;
}

export class Group {
  /** All events up to here were handed to the live followers. */
  #position: number;
  #isAdvancing = false;
  readonly #followers = new Set<Follower>();
  readonly #live = new Set<Follower>();
  /** Level with the stream but ahead of the group, which is still rendering. */
  readonly #ahead = new Set<Follower>();
  readonly #lagging = new Map<Follower, { bytes: number; sinceMs: number }>();
  readonly #recent = new Map<number, Promise<Batch>>();
  #recentBytes = 0;

  constructor(
    private readonly app: App,
    private readonly stream: RoomStream,
    private readonly renderer: Renderer,
    /** The operation turned out to depend on its viewer: these start over, in groups of their own. */
    private readonly onSplit: (followers: readonly Follower[]) => void,
  ) {
    this.#position = stream.head;
  }

  get size(): number {
    return this.#followers.size;
  }

  /** Serves the follower from its cursor on. */
  add(follower: Follower): void {
    this.#followers.add(follower);
    this.app.background(this.#serve(follower));
  }

  delete(follower: Follower): boolean {
    this.#live.delete(follower);
    this.#ahead.delete(follower);
    this.#lagging.delete(follower);
    return this.#followers.delete(follower);
  }

  /** The stream has new events. */
  advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    this.app.background(this.#advance());
  }

  /** Looks after followers who read slowly; called a few times a second while there are any. */
  tend(nowMs: number): void {
    for (const [follower, seen] of this.#lagging) {
      const bytes = follower.sink.pendingBytes();
      if (bytes <= CAUGHT_UP_BYTES) {
        this.#lagging.delete(follower);
        this.app.background(this.#catchUp(follower));
      } else if (bytes < seen.bytes) {
        this.#lagging.set(follower, { bytes, sinceMs: nowMs });
      } else if (nowMs - seen.sinceMs >= STALLED_MS) {
        this.#end(follower, "slow");
      }
    }
  }

  async #advance(): Promise<void> {
    try {
      await Promise.resolve(); // events of the same tick go out as one batch
      while (this.#position < this.stream.head) {
        if (this.#live.size === 0) {
          this.#position = this.stream.head;
          this.#forget(); // what was skipped may have edited or deleted what was rendered
          return;
        }
        const batch = await this.#batchAfter(this.#position, this.stream.head);
        if (batch === null) return;
        this.#position = batch.last.seq;
        for (const follower of [...this.#live]) this.#deliver(follower, batch);
        this.#wake();
      }
    } finally {
      this.#isAdvancing = false; // not a microtask later: an event that came in between would wake nobody
      this.#wake();
    }
  }

  #wake(): void {
    const ahead = [...this.#ahead];
    this.#ahead.clear();
    for (const follower of ahead) this.app.background(this.#catchUp(follower));
  }

  async #serve(follower: Follower): Promise<void> {
    const { first } = follower;
    const rendered = first && await this.#untilServed(() => this.renderer.render(first));
    if (!this.#followers.has(follower)) return;
    if (rendered) this.#send(follower, rendered);
    follower.first = null;
    await this.#catchUp(follower);
  }

  async #catchUp(follower: Follower): Promise<void> {
    while (this.#followers.has(follower)) {
      if (this.#isLagging(follower)) return;
      if (follower.cursor === this.#position) {
        this.#live.add(follower);
        return;
      }
      if (follower.cursor > this.#position) {
        this.#ahead.add(follower);
        if (this.#position < this.stream.head) this.advance();
        return;
      }
      // Only up to the group's position: batches of the group follow from exactly there.
      const batch = await this.#batchAfter(follower.cursor, this.#position, follower);
      if (batch !== null && this.#followers.has(follower)) this.#deliver(follower, batch);
    }
  }

  // Looks at the buffer first: a socket with many subscriptions must not be handed one batch too many by each.
  #deliver(follower: Follower, { last, changes, rendered }: Batch): void {
    if (this.#isLagging(follower)) {
      this.#live.delete(follower);
      return;
    }
    for (const event of changes) follower.reader = readerAfter(follower, event);
    this.#send(follower, rendered);
    follower.cursor = last.seq;
    const membership = { userId: follower.reader.userId, joinedSeq: follower.joinedSeq };
    if (changes.some((event) => isRemovalOf(event, membership))) this.#end(follower, "removed");
  }

  #send(follower: Follower, rendered: Rendered): void {
    follower.sink.send(rendered.bodyFor(follower.reader));
    this.app.metrics.liveDeliveries.inc();
  }

  #isLagging(follower: Follower): boolean {
    const bytes = follower.sink.pendingBytes();
    if (bytes <= BEHIND_BYTES) return false;
    this.#lagging.set(follower, { bytes, sinceMs: Date.now() });
    return true;
  }

  #end(follower: Follower, reason: EndReason): void {
    if (this.delete(follower)) follower.sink.end(reason);
  }

  /** The batch after `from`, made once however many ask for it; `null` when the group came to an end meanwhile. */
  async #batchAfter(from: number, upTo: number, reader?: Follower): Promise<Batch | null> {
    return await this.#untilServed(() => this.#recent.get(from) ?? this.#produce(from, upTo), reader);
  }

  #produce(from: number, upTo: number): Promise<Batch> {
    const pending = this.#readAndRender(from, upTo);
    if (this.#followers.size === 1) return pending; // nobody to share it with
    this.#recent.set(from, pending);
    pending.then(
      ({ rendered }) => {
        if (this.#recent.get(from) !== pending) return; // forgotten meanwhile
        this.#recentBytes += rendered.size;
        if (this.#recentBytes > RECENT_BYTES_MAX || this.#recent.size > RECENT_BATCHES_MAX) this.#forget();
      },
      () => this.#recent.delete(from),
    );
    return pending;
  }

  #forget(): void {
    this.#recent.clear();
    this.#recentBytes = 0;
  }

  async #readAndRender(from: number, upTo: number): Promise<Batch> {
    const events = await this.stream.read(from, upTo);
    // A batch ends with a removal: nothing later goes to the one who was removed. Where the room was deleted, everybody was.
    const end = events.findIndex(({ kind, data }) => kind === "MEMBER_REMOVED" && data?.reason !== "ROOM_DELETED");
    const batch = end < 0 ? events : events.slice(0, end + 1);
    const last = batch.at(-1);
    if (last === undefined || last.seq !== from + batch.length) throw new LogCut();
    // What was rendered before may show a text that is now edited or deleted.
    if (batch.some(({ kind }) => kind === "MESSAGE_EDITED" || kind === "MESSAGE_DELETED")) this.#forget();
    const changes = batch.filter(({ kind }) => kind === "MEMBER_UPDATED" || kind === "MEMBER_REMOVED");
    return {
      last,
      changes,
      rendered: await this.renderer.render({ cursor: last.cursor, events: batch }, { roomId: this.stream.roomId }),
    };
  }

  /** Waits while the database is away; ends the group, and returns `null`, on any other failure. */
  async #untilServed<T>(produce: () => Promise<T>, reader?: Follower): Promise<T | null> {
    for (let waitMs = 50; this.#followers.size > 0; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
      try {
        return await produce();
      } catch (error) {
        if (!isAway(error)) {
          if (error instanceof LogCut && reader) this.#end(reader, "unavailable"); // it comes back and gets a resync
          else this.#fail(error);
          return null;
        }
        await pause(waitMs);
      }
    }
    return null;
  }

  #fail(error: unknown): void {
    const followers = [...this.#followers];
    if (error instanceof NeedsViewer) {
      for (const follower of followers) this.delete(follower);
      this.onSplit(followers);
      return;
    }
    if (followers.length > 0) this.app.log.error("Cannot serve a live batch", { roomId: this.stream.roomId, error });
    for (const follower of followers) this.#end(follower, "unavailable");
  }
}

function readerAfter({ reader, readerSeq }: Follower, event: LiveEvent): Reader {
  const isOwn = event.kind === "MEMBER_UPDATED" && event.subjectId === reader.userId && event.seq > readerSeq;
  if (!isOwn) return reader;
  const { role = reader.role, mutedUntil = reader.mutedUntil } = event.data ?? {};
  return { ...reader, role, mutedUntil: mutedUntil === null ? null : new Date(mutedUntil) };
}
