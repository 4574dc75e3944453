/** Deleting a room: gone for everybody at once, its rows in the background. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { retryDeadlock } from "../platform/sql.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "./events.ts";
import { type Member, requireMember } from "./members.ts";
import { requirePermission, rolesWith } from "./permissions.ts";

/** Statements that may find somebody joining under them before it is given up. */
const TRIES = 10;
const RETRY_AFTER_MS = 1_000;
/** Rows of one statement, so that it holds no lock for long. */
const ROWS_MAX = 1_000;
/** How long the log stays, for streams that have yet to read the end of it. */
const KEEP_MINUTES = 60;

/** Deletes the room with its messages and returns its id: nobody can see it any more, and every stream of it ends.
 * Throws FORBIDDEN, NOT_FOUND, UNAVAILABLE. */
export async function deleteRoom(app: App, member: Member): Promise<string> {
  requirePermission(member, "DELETE_ROOM", "roomId");
  for (let tries = 0; tries < TRIES; tries++) {
    if (await emptyRoom(app, member)) {
      app.background(purgeRoom(app, member.roomId));
      return member.roomId;
    }
    requirePermission(await requireMember(app, member, member.roomId), "DELETE_ROOM", "roomId");
  }
  throw new AppError("UNAVAILABLE", "Cannot delete the room: too many people are joining it, try again", {
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** False where the member may not do it any more, or somebody joined while the statement waited for the room: the counts
 * of the locked row and of the members in the snapshot differ then. */
async function emptyRoom(app: App, member: Member): Promise<boolean> {
  const [last] = await retryDeadlock(() =>
    app.sql<(RoomEvent & { told: string[] })[]>`
    with present as (
      select id, room_id, user_id, role
      from members
      where room_id = ${member.roomId}
      order by user_id -- as in every statement that locks several
      for update
    ), actor as (
      select room_id, (select count(*) from present) as members
      from present
      where user_id = ${member.userId}
        and role = any(${rolesWith("DELETE_ROOM")}::text[])
    ), room as (
      update rooms
      set ${takeSeq(app, app.sql`actor.members`)},
        kind = 'PRIVATE',
        slug = null,
        icon_id = null,
        member_count = 0,
        owner_count = 0,
        deleted_at = now()
      from actor
      where rooms.id = actor.room_id
        and rooms.member_count = actor.members
      returning rooms.id, rooms.last_seq
    ), invite as (
      update invites
      set status = 'REVOKED'
      from room
      where invites.room_id = room.id
        and invites.status = 'PENDING'
      returning invites.id, invites.invitee_id
    ), member as (
      delete from members
      using room
      where members.room_id = room.id
      returning members.id, members.room_id, members.user_id
    ), news as (
      select user_id, 'ROOM_REMOVED' as kind, room_id as subject_id, '{"reason":"ROOM_DELETED"}'::jsonb as data
      from member
      union all
      select invitee_id, 'INVITE_UPDATED', id, null from invite
    ), ${appendViewerEvents(app)}, event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select room_id, last_seq + 1 - row_number() over (order by user_id desc), 'MEMBER_REMOVED', ${member.userId}::uuid,
        user_id, jsonb_build_object('memberId', member.id, 'reason', 'ROOM_DELETED')
      from member
      cross join room
      returning *
    )
    select event.*, ${toldUsers(app)}
    from event
    order by seq desc
    limit 1`
  );
  if (last === undefined) return false;
  const { told, ...event } = last;
  publishRoomEvent(app, event); // the hint of the last one makes every stream read those before it
  publishViewerEvents(app, told);
  return true;
}

/** Deletes the messages of deleted rooms, and the rooms once their streams have had time to end. Picks up what a crash has
 * left. */
export async function purgeRooms(app: App): Promise<void> {
  const rooms = await app.sql<{ id: string; isDue: boolean }[]>`
    select id, deleted_at < now() - make_interval(mins => ${KEEP_MINUTES}) as is_due
    from rooms
    where deleted_at is not null`;
  for (const { id, isDue } of rooms) {
    await purgeRoom(app, id);
    if (!isDue) continue;
    await inBatches(() =>
      app.sql`
        delete from room_events
        where room_id = ${id}
          and seq in (select seq from room_events where room_id = ${id} order by seq limit ${ROWS_MAX})`
    );
    await app.sql`delete from rooms where id = ${id} and deleted_at is not null`;
  }
}

async function purgeRoom(app: App, roomId: string): Promise<void> {
  await inBatches(() =>
    app.sql`
      delete from messages
      where id = any(array(
        select id
        from messages
        where room_id = ${roomId}
        order by seq desc -- replies before what they reply to
        limit ${ROWS_MAX}
      ))`
  );
}

async function inBatches(deleteSome: () => Promise<{ readonly count: number }>): Promise<void> {
  while ((await deleteSome()).count >= ROWS_MAX);
}
