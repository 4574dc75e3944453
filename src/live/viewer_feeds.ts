/** What the viewers who are here must be told of: wakes their streams when their own logs grow, and gathers the news of
 * their rooms, at most one for each room and second. Hints are only a shortcut: a sweep finds what they did not tell. */
import type { App } from "../app.ts";
import { keepSweeping } from "../platform/sweeps.ts";
import { announcementHead, ANNOUNCEMENTS_TOPIC } from "../users/announcement_events.ts";
import { readRoomEvent, type RoomEvent, roomTopic } from "../rooms/events.ts";
import { viewerTopic } from "../users/viewer_events.ts";

/** Pause between two news of one room; longer where thousands are told, because each costs an execution of its own. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 4_000;
const NEWS_PER_SECOND_MAX = 1_000;

/** Kinds of events that change what a room list shows to all members. */
const NEWS_KINDS: readonly RoomEvent["kind"][] = ["MESSAGE_SENT", "MESSAGE_EDITED", "MESSAGE_DELETED", "ROOM_UPDATED"];

/** One stream of a viewer, as the feeds see it. None of the methods may throw. */
export interface FeedListener {
  readonly userId: string;
  /** Number of the last event of the viewer's log that the stream knows of. */
  readonly seq: number;
  readonly announcementSeq: number;
  /** The viewer's log, or that of announcements, has grown. */
  onLog(): void;
  /** A room of the viewer has news. */
  onNews(roomId: string): void;
}

export function viewerFeeds(app: App): ViewerFeeds {
  return new ViewerFeeds(app);
}

export class ViewerFeeds implements AsyncDisposable {
  readonly #rooms = new Map<string, WatchedRoom>();
  /** All streams, with the rooms that each watches. */
  readonly #listeners = new Map<FeedListener, Set<string>>();
  readonly #sweeps: AsyncDisposable;
  readonly #unsubscribe: Promise<() => void>;
  #xid: string | null = null;
  /** What an earlier sweep has found, until no room holds back news from before its end any more. */
  #found: { readonly xid: string; readonly atMs: number } | null = null;

  constructor(private readonly app: App) {
    this.#sweeps = keepSweeping(app, () => this.#sweep());
    this.#unsubscribe = app.bus.subscribe(ANNOUNCEMENTS_TOPIC, () => {
      for (const listener of this.#listeners.keys()) listener.onLog();
    });
  }

  /** News by transactions before this one were handed to all listeners; `null` before the first sweep. */
  get xid(): string | null {
    return this.#xid;
  }

  /** Tells the listener of everything that is committed from now on, until the returned function is called. */
  async attach(listener: FeedListener): Promise<() => void> {
    await this.#unsubscribe;
    const detach = await this.app.bus.subscribe(viewerTopic(listener.userId), () => listener.onLog());
    this.#listeners.set(listener, new Set());
    return () => {
      detach();
      for (const roomId of this.#listeners.get(listener) ?? []) this.unwatch(listener, roomId);
      this.#listeners.delete(listener);
    };
  }

  /** Hands on the news of the room after its event `seq`. */
  async watch(listener: FeedListener, roomId: string, seq: number): Promise<void> {
    const watched = this.#listeners.get(listener);
    if (watched === undefined) return; // has ended meanwhile
    watched.add(roomId);
    const room = this.#rooms.get(roomId) ?? this.#open(roomId, seq);
    room.listeners.add(listener);
    await room.attached;
    if (room.lastSeq > seq) listener.onNews(roomId);
  }

  unwatch(listener: FeedListener, roomId: string): void {
    this.#listeners.get(listener)?.delete(roomId);
    const room = this.#rooms.get(roomId);
    if (!room?.listeners.delete(listener) || room.listeners.size > 0) return;
    this.#rooms.delete(roomId);
    this.app.background(room.close());
  }

  /** Compares the rooms with the database, and tells of what no hint told. */
  async refresh(roomIds: readonly string[]): Promise<void> {
    if (roomIds.length === 0) return;
    const heads = await this.app.sql<{ id: string; lastSeq: number }[]>`
      select id, last_seq
      from rooms
      where id = any(${roomIds as string[]}::uuid[])`;
    for (const { id, lastSeq } of heads) this.#rooms.get(id)?.announce(lastSeq);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeps[Symbol.asyncDispose]();
    (await this.#unsubscribe)();
    await Promise.all([...this.#rooms.values()].map((room) => room.close()));
  }

  #open(roomId: string, seq: number): WatchedRoom {
    const room = new WatchedRoom(this.app, roomId, seq);
    this.#rooms.set(roomId, room);
    return room;
  }

  async #sweep(): Promise<void> {
    if (this.#listeners.size === 0) return;
    // Read before the rooms are: what these transactions did is then seen there.
    const [{ xid }] = await this.app.sql<[{ xid: string }]>`
      select pg_snapshot_xmin(pg_current_snapshot())::text as xid`;
    await this.refresh([...this.#rooms.keys()]);
    const { xid: foundXid, atMs } = this.#found ?? { xid: null, atMs: Infinity };
    if ([...this.#rooms.values()].every(({ waitingSinceMs }) => waitingSinceMs > atMs)) {
      this.#xid = foundXid;
      this.#found = null;
    }
    this.#found ??= { xid, atMs: performance.now() };
    const [announcementSeq, heads] = await Promise.all([announcementHead(this.app), this.#readLogs()]);
    for (const listener of this.#listeners.keys()) {
      const isBehind = listener.seq < (heads.get(listener.userId) ?? 0) || listener.announcementSeq < announcementSeq;
      if (isBehind) listener.onLog();
    }
  }

  async #readLogs(): Promise<ReadonlyMap<string, number>> {
    const userIds = [...new Set([...this.#listeners.keys()].map(({ userId }) => userId))];
    const logs = await this.app.sql<{ userId: string; lastSeq: number }[]>`
      select user_id, last_seq
      from viewer_logs
      where user_id = any(${userIds}::uuid[])`;
    return new Map(logs.map(({ userId, lastSeq }) => [userId, lastSeq]));
  }
}

/** A room of somebody who is here. */
class WatchedRoom {
  readonly listeners = new Set<FeedListener>();
  /** Settles when every hint is heard. */
  readonly attached: Promise<void>;
  readonly #detach: Promise<() => void>;
  /** Since when there are news that wait for the end of the pause; `Infinity` where there are none. */
  waitingSinceMs = Infinity;
  readonly #news = new Set<FeedListener>();
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(app: App, private readonly roomId: string, public lastSeq: number) {
    this.#detach = app.bus.subscribe(roomTopic(roomId), (message) => this.#hear(message));
    this.attached = this.#detach.then(() => {});
  }

  /** The log reaches `seq`. */
  announce(seq: number): void {
    if (seq <= this.lastSeq) return;
    this.lastSeq = seq;
    this.#tell(this.listeners);
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#news.clear();
    (await this.#detach)();
  }

  #hear(message: unknown): void {
    const event = readRoomEvent(message);
    if (event?.roomId !== this.roomId || event.seq <= this.lastSeq) return;
    const { kind, subjectId, seq } = event;
    const isNext = seq === this.lastSeq + 1;
    this.lastSeq = seq;
    // Where a hint was lost, nobody knows what it said.
    if (!isNext || NEWS_KINDS.includes(kind)) this.#tell(this.listeners);
    else if (kind === "MEMBER_READ") this.#tell([...this.listeners].filter(({ userId }) => userId === subjectId));
  }

  /** The first news goes out at once; what follows within the pause goes out together at its end. */
  #tell(listeners: Iterable<FeedListener>): void {
    for (const listener of listeners) this.#news.add(listener);
    if (this.#timer === null) this.#flush();
    else if (this.#news.size > 0) this.waitingSinceMs = Math.min(this.waitingSinceMs, performance.now());
  }

  #flush(): void {
    this.waitingSinceMs = Infinity;
    if (this.#news.size === 0) {
      this.#timer = null;
      return;
    }
    const told = [...this.#news].filter((listener) => this.listeners.has(listener));
    this.#news.clear();
    const pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS, told.length * 1000 / NEWS_PER_SECOND_MAX));
    this.#timer = setTimeout(() => this.#flush(), pauseMs);
    for (const listener of told) listener.onNews(this.roomId);
  }
}
