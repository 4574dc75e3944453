/** Coming in: an event of the room, committed together with the membership, and with the answer to an invite. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { lockAccount } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { isBanned } from "./bans.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "./events.ts";
import {
  isInvited,
  isVisibleTo,
  listMemberships,
  type Member,
  noSuchRoom,
  notAMember,
  requireMember,
} from "./members.ts";

/** Statements that may find the room changed under them before it is given up. */
const TRIES = 10;

/** Joins a public room or one that the viewer is invited to, which accepts the invite; returns the membership there is
 * already for one who is in. Throws NOT_FOUND, BANNED, ROOM_FULL, and NOT_A_MEMBER for one who was removed in that very
 * moment. */
export async function joinRoom(app: App, viewer: Viewer, roomId: string | null): Promise<Member> {
  if (roomId === null) throw noSuchRoom();
  return await enterRoom(app, viewer, { roomId, inviteId: null });
}

/** How one comes in: by this invite alone, or where it is `null`, by whatever lets one in. */
export interface Entrance {
  readonly roomId: string;
  readonly inviteId: string | null;
}

/** As `joinRoom`. Throws NOT_FOUND also where the invite waits no longer for an answer. */
export async function enterRoom(app: App, viewer: Viewer, entrance: Entrance): Promise<Member> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (await enter(app, viewer, entrance)) return await requireMember(app, viewer, entrance.roomId);
    const [member] = await listMemberships(app, viewer, [entrance.roomId]);
    if (member !== undefined) return member;
    await explainRefusal(app, viewer, entrance);
  }
  throw notAMember();
}

/** Throws what keeps the viewer out; returns where nothing does, because the room or a ban has changed meanwhile. */
async function explainRefusal(app: App, viewer: Viewer, { roomId, inviteId }: Entrance): Promise<void> {
  const { sql } = app;
  const [room] = await sql<{ isOpen: boolean; isBanned: boolean }[]>`
    select ${isBanned(app, sql`${viewer.userId}`)} as is_banned, ${
    inviteId === null ? isVisibleTo(app, viewer) : isInvited(app, viewer)
  } as is_open
    from rooms
    where id = ${roomId}`;
  if (!room?.isOpen) throw inviteId === null ? noSuchRoom() : noSuchInvite();
  if (room.isBanned) throw banned(inviteId === null ? "roomId" : "inviteId");
}

export function noSuchInvite(): AppError {
  const because = "there is none with this id that waits for an answer and that you may see";
  return new AppError("NOT_FOUND", `Cannot find the invite: ${because}`, { path: ["inviteId"] });
}

/** A refusal of one who is banned from the room. */
export function banned(...path: string[]): AppError {
  return new AppError("BANNED", "Cannot come into the room: banned from it", { path });
}

/** Makes the membership; false where the statement found the viewer in, or nothing that lets the viewer in.
 * A ban that commits while the statement waits for the room is not in its snapshot, but the count of bans that the
 * locked row shows is: then nothing happens, and the next try sees the ban. */
async function enter(app: App, viewer: Viewer, { roomId, inviteId }: Entrance): Promise<boolean> {
  const { sql } = app;
  const memberId = newId();
  try {
    const [joined] = await retryDeadlock(() =>
      sql<(RoomEvent & { told: string[] })[]>`
      with account as (${lockAccount(app, viewer.userId)}
      ), present as (
        select
        from members
        where room_id = ${roomId}
          and user_id = ${viewer.userId}
        for key share
      ), seen as materialized (
        select id, ban_count
        from rooms
        where id = ${roomId}
          and not ${isBanned(app, sql`${viewer.userId}`)}
          and not exists (select from present)
          and exists (select from account)
      ), invite as (
        select invites.id, inviter_id
        from invites
        join seen on seen.id = invites.room_id
        where invitee_id = ${viewer.userId}
          and status = 'PENDING'
          and expires_at > now()
          and ${inviteId === null ? sql`true` : sql`invites.id = ${inviteId}`}
        for update of invites
      ), room as (
        update rooms
        set ${takeSeq(app)},
          member_count = member_count + 1
        from seen
        left join invite on true
        where rooms.id = seen.id
          and rooms.ban_count = seen.ban_count
          and rooms.deleted_at is null
          and (invite.id is not null or ${inviteId === null ? sql`rooms.kind = 'PUBLIC'` : sql`false`})
        returning rooms.id, rooms.last_seq
      ), accepted as (
        update invites
        set status = 'ACCEPTED'
        from invite, room
        where invites.id = invite.id
        returning invites.id, invites.inviter_id, invites.invitee_id
      ), member as (
        insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
        select ${memberId}, id, ${viewer.userId}, 'MEMBER', last_seq, last_seq from room
      ), news as (
        select ${viewer.userId}::uuid as user_id, 'ROOM_ADDED' as kind, id as subject_id, null::jsonb as data from room
        union all
        select unnest(array[invitee_id, inviter_id]), 'INVITE_UPDATED', id, null from accepted
      ), ${appendViewerEvents(app)}, event as (
        insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
        select id, last_seq, 'MEMBER_JOINED', ${viewer.userId}::uuid, ${viewer.userId}::uuid,
          ${sql.json({ memberId, role: "MEMBER" })}
        from room
        returning *
      )
      select event.*, ${toldUsers(app)} from event`
    );
    if (joined === undefined) return false;
    const { told, ...event } = joined;
    publishRoomEvent(app, event);
    publishViewerEvents(app, told);
    return true;
  } catch (error) {
    if (isViolationOf(error, "rooms_full")) {
      throw new AppError("ROOM_FULL", "Cannot join: the room is full", {
        path: [inviteId === null ? "roomId" : "inviteId"],
        cause: error,
      });
    }
    // Joined twice at once: the whole statement was undone, so it burns no number of the log.
    if (isViolationOf(error, "members_room_user_key")) return false;
    throw error;
  }
}
