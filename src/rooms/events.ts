/** The room log: every lasting thing that happens in a room is one numbered row, committed together with its effect.
 * Written by the statements of `rooms/` and `messages/`, read here; nothing else numbers events. */
import type { App } from "../app.ts";
import { isUuid } from "../lib/ids.ts";
import type { Fragment } from "../platform/sql.ts";

const MESSAGE_KINDS = [
  "MESSAGE_SENT",
  "MESSAGE_EDITED",
  "MESSAGE_DELETED",
  "MESSAGE_PINNED",
  "MESSAGE_UNPINNED",
  "REACTION_ADDED",
  "REACTION_REMOVED",
] as const;
const MEMBER_KINDS = ["MEMBER_JOINED", "MEMBER_REMOVED", "MEMBER_UPDATED", "MEMBER_READ"] as const;
const KINDS = [...MESSAGE_KINDS, ...MEMBER_KINDS, "ATTACHMENT_PROCESSED", "ROOM_UPDATED"] as const;
export type RoomEventKind = typeof KINDS[number];

export type RoomRole = "OWNER" | "MODERATOR" | "MEMBER";
export type RemovalReason = "LEFT" | "KICKED" | "BANNED" | "ROOM_DELETED";

/** What an event says beyond its ids. `memberId` and `role` outlive the membership. */
export interface RoomEventData {
  readonly memberId?: string;
  readonly role?: RoomRole;
  /** Of a MEMBER_UPDATED: until when the member may not write now, in RFC 3339. */
  readonly mutedUntil?: string | null;
  readonly reason?: RemovalReason;
  readonly emoji?: string;
}

export interface RoomEvent {
  readonly roomId: string;
  /** Its number in the room: 1, 2, 3, … without a gap, in commit order. */
  readonly seq: number;
  readonly kind: RoomEventKind;
  readonly actorId: string | null;
  /** A message for message events, a user for member events, an attachment where one was processed, else the room. */
  readonly subjectId: string;
  readonly data: RoomEventData | null;
  readonly createdAt: Date;
}

/** The event that a message of the bus carries, `null` where it is none as `publishRoomEvent` sends it. On the way from another
 * node its time has become a text. */
export function readRoomEvent(message: unknown): RoomEvent | null {
  if (typeof message !== "object" || message === null) return null;
  const { roomId, seq, kind, actorId, subjectId, data, createdAt } = message as {
    readonly [Key in keyof RoomEvent]?: unknown;
  };
  const time = createdAt instanceof Date ? createdAt : new Date(String(createdAt));
  const isEvent = isUuid(roomId) && Number.isSafeInteger(seq) && KINDS.some((known) => known === kind) &&
    (actorId === null || isUuid(actorId)) && isUuid(subjectId) && typeof data === "object" && !isNaN(time.getTime());
  return isEvent ? { ...message as RoomEvent, createdAt: time } : null;
}

/** The part of `update rooms set …` that takes the next numbers of the log. Takes the row lock that keeps them in order. */
export function takeSeq({ sql }: App, count: number | Fragment = 1): Fragment {
  return sql`last_seq = last_seq + ${count}, changed_xid = pg_current_xact_id()`;
}

/** Topic of the hints that a room has new events. */
export function roomTopic(roomId: string): string {
  return `room:${roomId}`;
}

/** Tells every node of a committed event. The event is safe before that: who misses the hint finds it in the log. */
export function publishRoomEvent(app: App, event: RoomEvent): void {
  app.bus.publish(roomTopic(event.roomId), event);
}

/** Events after `seq`, oldest first, at most `limit`. */
export async function listRoomEvents(
  app: App,
  roomId: string,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<RoomEvent[]> {
  app.metrics.logReads.inc();
  return await app.sql<RoomEvent[]>`
    select room_id, seq, kind, actor_id, subject_id, data, created_at
    from room_events
    where room_id = ${roomId}
      and seq > ${after}
    order by seq
    limit ${limit}`;
}
