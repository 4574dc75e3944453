/** Coming and going: joining, leaving, being removed. Each is an event of the room, committed together with its effect. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { optionalText } from "../lib/texts.ts";
import { isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { publishRoomEvent, type RemovalReason, type RoomEvent, type RoomRole, takeSeq } from "./events.ts";
import { type Member, noSuchRoom, requireMember } from "./members.ts";
import { isModerator, outranks } from "./permissions.ts";

const REASON_MAX = 500;

/** Joins a public room; returns the membership there is already for one who is in. Throws NOT_FOUND, ROOM_FULL,
 * and NOT_A_MEMBER for one who was removed in that very moment.
 * Looks for the member before it locks the room, the order of every statement; only two joins of one person and a removal at
 * once can still deadlock, and then try again. */
export async function joinRoom(app: App, viewer: Viewer, roomId: string | null): Promise<Member> {
  const memberId = newId();
  try {
    const [event] = await retryDeadlock(() =>
      app.sql<RoomEvent[]>`
      with present as (
        select
        from members
        where room_id = ${roomId}
          and user_id = ${viewer.userId}
        for key share
      ), room as (
        update rooms
        set ${takeSeq(app)},
          member_count = member_count + 1
        where id = ${roomId}
          and kind = 'PUBLIC'
          and not exists (select from present)
        returning id, last_seq
      ), member as (
        insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
        select ${memberId}, id, ${viewer.userId}, 'MEMBER', last_seq, last_seq from room
      )
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select id, last_seq, 'MEMBER_JOINED', ${viewer.userId}::uuid, ${viewer.userId}::uuid, ${
        app.sql.json({ memberId, role: "MEMBER" })
      } from room
      returning *`
    );
    if (event) publishRoomEvent(app, event);
  } catch (error) {
    if (isViolationOf(error, "rooms_full")) {
      throw new AppError("ROOM_FULL", "Cannot join: the room is full", { path: ["roomId"], cause: error });
    }
    // Joined twice at once: the whole statement was undone, so it burns no number of the log.
    if (!isViolationOf(error, "members_room_user_key")) throw error;
  }
  return await requireMember(app, viewer, roomId);
}

/** Leaves a room and returns its id; nothing happens for one who is not in, whatever room it is. Throws LAST_OWNER, and
 * NOT_FOUND for a text that is no room id. */
export async function leaveRoom(app: App, viewer: Viewer, roomId: string | null): Promise<string> {
  if (roomId === null) throw noSuchRoom();
  await removeMember(app, viewer.userId, { roomId, userId: viewer.userId, reason: "LEFT", details: {} });
  return roomId;
}

export interface KickInput {
  readonly userId: string | null;
  readonly reason?: string | null | undefined;
}

/** Removes another member and returns the id of the membership that ended. Throws FORBIDDEN, NOT_FOUND, TOO_LONG,
 * INVALID_INPUT. */
export async function kickMember(app: App, member: Member, input: KickInput): Promise<string> {
  const note = optionalText("reason", input.reason, REASON_MAX);
  const [target] = await app.sql<{ userId: string; role: RoomRole }[]>`
    select user_id, role
    from members
    where room_id = ${member.roomId}
      and user_id = ${input.userId}`;
  if (target === undefined) throw notInRoom();
  if (!isModerator(member.role) || !outranks(member.role, target.role)) {
    throw new AppError("FORBIDDEN", "Cannot remove the member: your role does not outrank theirs", {
      path: ["userId"],
    });
  }
  const removed = await removeMember(app, member.userId, {
    roomId: member.roomId,
    userId: target.userId,
    reason: "KICKED",
    details: note === null ? {} : { note },
  });
  if (removed === null) throw notInRoom();
  return removed;
}

function notInRoom(): AppError {
  return new AppError("NOT_FOUND", "Cannot remove the member: the user is not in the room", { path: ["userId"] });
}

interface Removal {
  readonly roomId: string;
  readonly userId: string;
  readonly reason: RemovalReason;
  readonly details: { readonly note?: string };
}

/** Ends a membership; the id of it, `null` where there was none. The member row is locked before the room, as everywhere:
 * a message of the removed one is either before the removal in the log or refused. */
async function removeMember(
  app: App,
  actorId: string,
  { roomId, userId, reason, details }: Removal,
): Promise<string | null> {
  try {
    const [event] = await retryDeadlock(() =>
      app.sql<(RoomEvent & { data: { memberId: string } })[]>`
      with member as (
        delete from members
        where room_id = ${roomId}
          and user_id = ${userId}
        returning id, room_id, role
      ), room as (
        update rooms
        set ${takeSeq(app)},
          member_count = member_count - 1,
          owner_count = owner_count - (member.role = 'OWNER')::int
        from member
        where rooms.id = member.room_id
        returning last_seq
      )
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select room_id, last_seq, 'MEMBER_REMOVED', ${actorId}::uuid, ${userId}::uuid,
        ${app.sql.json({ reason, ...details })}::jsonb || jsonb_build_object('memberId', member.id)
      from member, room
      returning *`
    );
    if (event === undefined) return null;
    publishRoomEvent(app, event);
    return event.data.memberId;
  } catch (error) {
    if (!isViolationOf(error, "rooms_last_owner")) throw error;
    throw new AppError("LAST_OWNER", "Cannot leave: you are the last owner of the room", {
      path: ["roomId"],
      cause: error,
    });
  }
}
