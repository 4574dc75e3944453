/** Everything that concerns one viewer, in any room or outside of rooms: what a subscription to `viewerEvents` is. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { encodeViewerCursor, parseViewerCursor, type ViewerPosition } from "../lib/viewer_cursors.ts";
import { type AnnouncementEvent, announcementHead, listAnnouncementEvents } from "../users/announcement_events.ts";
import type { Announcement } from "../users/announcements.ts";
import { listViewerEvents, type ViewerEvent } from "../users/viewer_events.ts";
import { findPosition } from "../users/viewers.ts";
import { LogCut, PulledSubscription, type Source } from "./subscriptions.ts";
import { type FeedListener, viewerFeeds } from "./viewer_feeds.ts";

/** Events of one batch at most, of each kind. */
const BATCH_EVENTS_MAX = 100;

/** An event with its position as clients see it. */
export interface LiveViewerEvent {
  readonly kind: ViewerEvent["kind"] | AnnouncementEvent["kind"] | "ROOM_ACTIVITY" | "RESYNC";
  readonly cursor: string;
  readonly userId: string;
  /** As in `ViewerEvent`; a room for its activity, an announcement for its events, the viewer for a resync. */
  readonly subjectId: string;
  readonly data: ViewerEvent["data"];
  /** What the events of announcements are about. */
  readonly announcement?: Announcement;
  readonly createdAt: Date;
}

/** One delivery: the events after the one before, and the position after the last of them. */
export interface ViewerBatch {
  readonly cursor: string;
  readonly events: readonly LiveViewerEvent[];
}

/** Everything that concerns the viewer after `after`, then live; the first batch comes at once, even if it is empty.
 * Throws BAD_USER_INPUT, RATE_LIMITED. */
export async function followViewer(
  app: App,
  viewer: Viewer,
  after: string | null | undefined,
): Promise<PulledSubscription<ViewerBatch>> {
  await app.limits.take("subscribe", viewer.userId);
  const cursor = after === null || after === undefined ? null : parseViewerCursor(after);
  const stream = new ViewerStream(app, viewer.userId);
  const subscription = new PulledSubscription<ViewerBatch>(app, (wake) => {
    stream.onChange = wake;
    return stream;
  });
  try {
    await stream.open(cursor);
    return subscription;
  } catch (error) {
    subscription.cancel();
    throw error;
  }
}

interface RoomHead {
  readonly roomId: string;
  readonly lastSeq: number;
  readonly hasNews: boolean;
}

class ViewerStream implements FeedListener, Source<ViewerBatch> {
  onChange: () => void = () => {};
  #position: ViewerPosition = { epoch: "", seq: 0, announcementSeq: 0, xid: "1" };
  #first: ViewerBatch | null = null;
  /** Rooms with news that were not told yet. */
  #news = new Set<string>();
  #hasLogGrown = true;
  #detach: () => void = () => {};
  #isClosed = false;

  constructor(private readonly app: App, readonly userId: string) {}

  get seq(): number {
    return this.#position.seq;
  }

  get announcementSeq(): number {
    return this.#position.announcementSeq;
  }

  onLog(): void {
    this.#hasLogGrown = true;
    this.onChange();
  }

  onNews(roomId: string): void {
    this.#news.add(roomId);
    this.onChange();
  }

  /** Goes to the position, or to the end where there is none or it can't be honoured. */
  async open(after: ViewerPosition | null): Promise<void> {
    const feeds = this.app.once(viewerFeeds);
    // Attach before reading: an event between the two would be lost.
    const detach = await feeds.attach(this);
    if (this.#isClosed) return detach();
    this.#detach = detach;
    const now = await findPosition(this.app, this.userId);
    if (now === null) throw new AppError("UNAUTHENTICATED", "Cannot follow: the account does not exist");
    const start = after !== null && await this.#isKnown(after, now) ? after : now;
    const rooms = await this.#readRooms(start.xid);
    this.#position = start;
    const isResync = after !== null && start === now;
    const cursor = encodeViewerCursor(start);
    const { userId } = this;
    this.#first = {
      cursor,
      events: isResync
        ? [{ kind: "RESYNC", cursor, userId, subjectId: userId, data: null, createdAt: new Date() }]
        : [],
    };
    if (after !== null && !isResync) { for (const { roomId, hasNews } of rooms) if (hasNews) this.#news.add(roomId); }
    await Promise.all(rooms.map(({ roomId, lastSeq }) => feeds.watch(this, roomId, lastSeq)));
    await feeds.refresh(rooms.map(({ roomId }) => roomId)); // what came between reading and watching
  }

  async next(): Promise<ViewerBatch | null> {
    const first = this.#first;
    if (first !== null) {
      this.#first = null;
      return first;
    }
    // Taken before anything is read: what comes meanwhile is for the next batch.
    const { xid } = this.app.once(viewerFeeds);
    const news = this.#news;
    this.#news = new Set();
    const hadLogGrown = this.#hasLogGrown;
    this.#hasLogGrown = false;
    try {
      const batch = await this.#read(hadLogGrown, news, xid);
      return batch.events.length === 0 ? null : batch;
    } catch (error) {
      for (const roomId of news) this.#news.add(roomId);
      this.#hasLogGrown = true;
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#detach();
  }

  async #read(hasLogGrown: boolean, news: ReadonlySet<string>, xid: string | null): Promise<ViewerBatch> {
    const own = hasLogGrown ? await this.#readLog() : [];
    const announced = await this.#readAnnouncements(hasLogGrown);
    const rooms = await this.#readMemberships([...news, ...own.flatMap(roomOf)]);
    await this.#watchChanges(own, rooms);
    const events: LiveViewerEvent[] = [];
    const add = (event: Omit<LiveViewerEvent, "cursor">, position: ViewerPosition) => {
      this.#position = position;
      events.push({ ...event, cursor: encodeViewerCursor(position) });
    };
    for (const event of own) {
      const position = { ...this.#position, seq: event.seq };
      // What is gone is told of by a later event, or by nothing at all. A room that the viewer is no longer in is private now.
      if (event.isThere) add(event, position);
      else this.#position = position;
    }
    for (const { seq, kind, announcement, createdAt } of announced.events) {
      const position = { ...this.#position, announcementSeq: seq };
      const about = { userId: this.userId, subjectId: announcement.id, data: null, announcement, createdAt };
      // Only with the last of two that have one number it is told: who resumes after the first gets both again.
      if (kind === "ANNOUNCEMENT_PUBLISHED") {
        add({ kind, ...about }, this.#position);
        add({ kind: "NOTIFICATION_CREATED", ...about }, position);
      } else add({ kind, ...about }, position);
    }
    this.#position = { ...this.#position, announcementSeq: announced.upTo };
    const told = [...news].filter((roomId) => rooms.has(roomId));
    for (const [index, roomId] of told.entries()) {
      // Only with the last of them everything before `xid` is told.
      const isLast = index === told.length - 1;
      const position = isLast && xid !== null ? later(this.#position, xid) : this.#position;
      const about = { kind: "ROOM_ACTIVITY", userId: this.userId, subjectId: roomId, data: null } as const;
      add({ ...about, createdAt: rooms.get(roomId) ?? new Date() }, position);
    }
    return { cursor: encodeViewerCursor(this.#position), events };
  }

  async #readLog(): Promise<ViewerEvent[]> {
    const { seq } = this.#position;
    const events = await listViewerEvents(this.app, this.userId, { after: seq, limit: BATCH_EVENTS_MAX });
    if (events[0] !== undefined && events[0].seq !== seq + 1) throw new LogCut();
    if (events.length === BATCH_EVENTS_MAX) this.onLog(); // there may be more
    return events;
  }

  /** Announcements for the viewer, and up to where all of them are told. */
  async #readAnnouncements(hasLogGrown: boolean): Promise<{ events: AnnouncementEvent[]; upTo: number }> {
    const { announcementSeq: after } = this.#position;
    const head = hasLogGrown ? await announcementHead(this.app) : after;
    if (head <= after) return { events: [], upTo: after };
    const limit = BATCH_EVENTS_MAX;
    const events = await listAnnouncementEvents(this.app, this.userId, { after, upTo: head, limit });
    if (events.length < limit) return { events, upTo: head };
    this.onLog(); // there may be more
    return { events, upTo: events.at(-1)?.seq ?? head };
  }

  /** Those of the rooms that the viewer is in, with the time of their last activity. */
  async #readMemberships(roomIds: readonly string[]): Promise<ReadonlyMap<string, Date>> {
    if (roomIds.length === 0) return new Map();
    const rooms = await this.app.sql<{ roomId: string; lastActivityAt: Date }[]>`
      select room_id, last_activity_at
      from members
      join rooms on rooms.id = members.room_id
      where user_id = ${this.userId}
        and room_id = any(${roomIds as string[]}::uuid[])`;
    return new Map(rooms.map(({ roomId, lastActivityAt }) => [roomId, lastActivityAt]));
  }

  async #watchChanges(own: readonly ViewerEvent[], rooms: ReadonlyMap<string, Date>): Promise<void> {
    const feeds = this.app.once(viewerFeeds);
    for (const { kind, subjectId } of own) {
      if (kind === "ROOM_REMOVED" && !rooms.has(subjectId)) feeds.unwatch(this, subjectId);
      else if (kind === "ROOM_ADDED" && rooms.has(subjectId)) {
        // From its beginning: whatever has happened there by now is news.
        await feeds.watch(this, subjectId, 0);
        await feeds.refresh([subjectId]);
      }
    }
  }

  /** Whether nothing after the position was cut off or belongs to another life of the database. */
  async #isKnown(after: ViewerPosition, now: ViewerPosition): Promise<boolean> {
    const isPast = after.epoch === now.epoch && after.seq <= now.seq &&
      after.announcementSeq <= now.announcementSeq && BigInt(after.xid) <= BigInt(now.xid);
    if (!isPast || after.seq === now.seq) return isPast;
    const [next] = await listViewerEvents(this.app, this.userId, { after: after.seq, limit: 1 });
    return next?.seq === after.seq + 1;
  }

  async #readRooms(xid: string): Promise<RoomHead[]> {
    return await this.app.sql<RoomHead[]>`
      select room_id, last_seq, changed_xid >= ${xid}::xid8 as has_news
      from members
      join rooms on rooms.id = members.room_id
      where user_id = ${this.userId}`;
  }
}

function roomOf({ kind, subjectId }: ViewerEvent): string[] {
  return kind === "ROOM_ADDED" || kind === "ROOM_REMOVED" ? [subjectId] : [];
}

/** The position with the later of its own transaction and this one. */
function later(position: ViewerPosition, xid: string): ViewerPosition {
  return BigInt(xid) > BigInt(position.xid) ? { ...position, xid } : position;
}
