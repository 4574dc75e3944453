/** One room as this node sees it: hints come in lost, doubled or shuffled, events go out in order, each once, none
 * missing. It lives while somebody here follows the room. */
import type { App } from "../app.ts";
import { encodeEventCursor } from "../lib/event_cursors.ts";
import { pause } from "../platform/timers.ts";
import { listRoomEvents, readRoomEvent, type RoomEvent, roomTopic } from "../rooms/events.ts";
import type { Member } from "../rooms/members.ts";

/** Newest events kept in memory, so that followers a moment behind are served without the database. */
const TAIL_EVENTS = 256;
/** Hints kept while an earlier one is missing; what does not fit is read from the log. */
const EARLY_EVENTS_MAX = 256;
/** Events of one batch at most, and the characters that they may bring together if all are messages. */
const BATCH_EVENTS_MAX = 100;
const BATCH_CHARACTERS_MAX = 400_000;
const RETRY_MS = 100;
const RETRY_MS_MAX = 2_000;

/** An event with its position as clients see it. */
export interface LiveEvent extends Omit<RoomEvent, "kind"> {
  readonly kind: RoomEvent["kind"] | "RESYNC";
  readonly cursor: string;
}

/** Whether the event ends this membership. One that is older belongs to an earlier one. */
export function isRemovalOf(event: LiveEvent, { userId, joinedSeq }: Pick<Member, "userId" | "joinedSeq">): boolean {
  return event.kind === "MEMBER_REMOVED" && event.subjectId === userId && event.seq > joinedSeq;
}

/** Told of new events, oldest first, each once and none left out. */
export type OnAppend = (events: readonly LiveEvent[]) => void;

export class RoomStream {
  /** Seq of the newest event that is known together with all before it. */
  head = 0;
  epoch = "";
  readonly #batchMax: number;
  readonly #tail: LiveEvent[] = [];
  readonly #early = new Map<number, RoomEvent>();
  #announced = 0;
  #isFilling = false;
  #filled = Promise.resolve();
  #detach = () => {};
  #closed = false;

  private constructor(private readonly app: App, readonly roomId: string, private readonly onAppend: OnAppend) {
    const fitting = Math.floor(BATCH_CHARACTERS_MAX / app.config.maxMessageLength);
    this.#batchMax = Math.min(BATCH_EVENTS_MAX, Math.max(1, fitting));
  }

  /** `null` when there is no such room. `onAppend` is called after `head` has moved. */
  static async open(app: App, roomId: string, onAppend: OnAppend): Promise<RoomStream | null> {
    const stream = new RoomStream(app, roomId, onAppend);
    // Attach before reading: an event between the two would be lost.
    stream.#detach = await app.bus.subscribe(roomTopic(roomId), (message) => stream.#hear(message));
    try {
      const [room] = await app.sql<{ epoch: string; lastSeq: number }[]>`
        select epoch, last_seq
        from rooms
        where id = ${roomId}`;
      if (room === undefined) {
        stream.close();
        return null;
      }
      stream.epoch = room.epoch;
      stream.head = room.lastSeq;
      stream.#settle();
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#detach();
  }

  /** Events after `after` up to `upTo`, oldest first, at most 100. Starts later than `after + 1` only where the log was
   * cut by retention. */
  async read(after: number, upTo: number): Promise<LiveEvent[]> {
    const oldest = this.#tail[0];
    if (oldest !== undefined && oldest.seq <= after + 1) {
      const start = after + 1 - oldest.seq;
      return this.#tail.slice(start, start + Math.min(this.#batchMax, upTo - after));
    }
    const events = await listRoomEvents(this.app, this.roomId, { after, limit: this.#batchMax });
    return events.filter(({ seq }) => seq <= upTo).map((event) => this.#locate(event));
  }

  /** Takes note that the log reaches `seq`, and reads what is missing. */
  announce(seq: number): void {
    if (seq > this.#announced) this.#announced = seq;
    if (this.epoch !== "") this.#settle();
  }

  /** Compares with the database: afterwards `head` is no older than this call. */
  async refresh(): Promise<void> {
    const [room] = await this.app.sql<{ lastSeq: number }[]>`select last_seq from rooms where id = ${this.roomId}`;
    this.announce(room?.lastSeq ?? 0);
    await this.#filled;
  }

  /** The event that tells a client to start over from `seq`. */
  resyncEvent(seq: number): LiveEvent {
    const { roomId } = this;
    const cursor = this.positionOf(seq);
    return { kind: "RESYNC", roomId, seq, cursor, actorId: null, subjectId: roomId, data: null, createdAt: new Date() };
  }

  positionOf(seq: number): string {
    return encodeEventCursor(this.epoch, seq);
  }

  #hear(message: unknown): void {
    const event = readRoomEvent(message);
    if (event?.roomId !== this.roomId || event.seq <= this.head) return;
    if (this.#early.size < EARLY_EVENTS_MAX) this.#early.set(event.seq, event);
    this.announce(event.seq);
  }

  #settle(): void {
    const before = this.head;
    for (let next = this.#early.get(this.head + 1); next; next = this.#early.get(this.head + 1)) this.#append(next);
    for (const seq of this.#early.keys()) if (seq <= this.head) this.#early.delete(seq);
    this.#tell(before);
    if (this.#announced > this.head && !this.#isFilling) {
      this.#isFilling = true;
      this.#filled = this.#fill();
      this.app.background(this.#filled);
    }
  }

  async #fill(): Promise<void> {
    try {
      while (this.#announced > this.head && !this.#closed) {
        const wanted = this.#announced;
        const events = await this.#readMissing();
        const before = this.head;
        for (const event of events) if (event.seq === this.head + 1) this.#append(event);
        // Hints beyond the log were never committed: forgotten, or they would pass for the true events of their numbers.
        if (this.head === before && this.#announced === wanted) {
          this.#announced = this.head;
          this.#early.clear();
        }
        this.#tell(before);
        this.#settle();
      }
    } finally {
      this.#isFilling = false; // not a microtask later: a hint that came in between would wake nobody
    }
  }

  async #readMissing(): Promise<RoomEvent[]> {
    for (let waitMs = RETRY_MS; !this.#closed; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
      try {
        return await listRoomEvents(this.app, this.roomId, { after: this.head, limit: BATCH_EVENTS_MAX });
      } catch (error) {
        this.app.log.warn("Cannot read the room log, trying again", { roomId: this.roomId, error });
        await pause(waitMs);
      }
    }
    return [];
  }

  #append(event: RoomEvent): void {
    this.#early.delete(event.seq);
    this.head = event.seq;
    this.#tail.push(this.#locate(event));
    if (this.#tail.length > TAIL_EVENTS) this.#tail.shift();
  }

  // What is appended between two calls fits into the tail.
  #tell(before: number): void {
    if (this.head > before) this.onAppend(this.#tail.slice(before - this.head));
  }

  #locate(event: RoomEvent): LiveEvent {
    return { ...event, cursor: this.positionOf(event.seq) };
  }
}
