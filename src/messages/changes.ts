/** One change of one message: the event that numbers and tells it, the same for edits, deletions and pins. */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";
import { publishRoomEvent, type RoomEventKind, takeSeq } from "../rooms/events.ts";
import type { Member } from "../rooms/members.ts";
import { publishViewerEvents } from "../users/viewer_events.ts";
import type { Message } from "./messages.ts";

/** What the statement of a change returns: the message, and of its event number and time. */
export type Changed = Message & {
  readonly eventSeq: number;
  readonly eventAt: Date;
  readonly told?: readonly string[];
};

/** Parts of a `with` that log a change of the message that the part `target` has locked, if the condition on `rooms` holds.
 * `event` returns `seq, created_at`. */
export function logChange(
  app: App,
  member: Member,
  { kind, provided = app.sql`true` }: { readonly kind: RoomEventKind; readonly provided?: Fragment },
): Fragment {
  return app.sql`
    room as (
      update rooms
      set ${takeSeq(app)}
      from target
      where rooms.id = ${member.roomId}
        and ${provided}
      returning rooms.last_seq
    ), event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id)
      select ${member.roomId}, last_seq, ${kind}, ${member.userId}, target.id from room, target
      returning seq, created_at
    )`;
}

/** Tells of the change and returns the message; `null` where nothing was changed. */
export function publishChange(
  app: App,
  member: Member,
  { kind, changed }: { readonly kind: RoomEventKind; readonly changed: Changed | undefined },
): Message | null {
  if (changed === undefined) return null;
  const { roomId, id: subjectId, eventSeq: seq, eventAt: createdAt } = changed;
  publishRoomEvent(app, { roomId, seq, kind, actorId: member.userId, subjectId, data: null, createdAt });
  publishViewerEvents(app, changed.told ?? []);
  return changed;
}
