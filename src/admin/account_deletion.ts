/** Deleting an account. What was written stays, under a placeholder, with its files; who wrote it is gone: name, address, avatar,
 * password, devices, memberships, invites, blocks, notifications and files that were not sent. Handle and address are free again. */
import type { App } from "../app.ts";
import { verifyPassword } from "../auth/passwords.ts";
import { announceEndedSessions } from "../auth/revocations.ts";
import { endBarredSessions } from "../auth/sessions.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { type Fragment, isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { deleteReleased } from "../uploads/deletions.ts";
import { type BlockChange, publishBlock } from "../users/blocks.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";

const PLACEHOLDER_NAME = "Deleted user";
/** Rooms that a refusal names. */
const NAMED_ROOMS_MAX = 5;

/** Deletes the viewer's account and returns the user's id; all sessions end at once. Throws INVALID_CREDENTIALS, RATE_LIMITED,
 * UNAVAILABLE, and LAST_OWNER while others are in a room that would be left without one. */
export async function deleteAccount(app: App, viewer: Viewer, password: string): Promise<string> {
  await app.limits.take("password", viewer.userId);
  const [user] = await app.sql<{ passwordHash: string }[]>`
    select password_hash
    from users
    where id = ${viewer.userId}`;
  if (!await verifyPassword(user?.passwordHash ?? null, password)) throw wrongPassword();
  publishBurial(app, await buryUser(app, viewer.userId, user?.passwordHash ?? ""));
  await endBarredSessions(app, viewer.userId);
  await buryRest(app, viewer.userId);
  deleteReleased(app);
  return viewer.userId;
}

function publishBurial(app: App, { ended, events, unblocked, told }: Burial): void {
  announceEndedSessions(app, ended);
  for (const event of events) publishRoomEvent(app, { ...event, createdAt: new Date(event.createdAt) });
  for (const block of unblocked) publishBlock(app, { ...block, isBlocked: false });
  publishViewerEvents(app, told);
}

interface Burial {
  readonly ended: readonly string[];
  readonly events: readonly RoomEvent[];
  readonly unblocked: readonly Omit<BlockChange, "isBlocked">[];
  readonly told: readonly string[];
}

/** Throws LAST_OWNER, INVALID_CREDENTIALS. */
async function buryUser(app: App, userId: string, passwordHash: string): Promise<Burial> {
  try {
    const isToBury = app.sql`(password_hash = ${passwordHash} and deleted_at is null)`;
    const burial = await retryDeadlock(() => storeBurial(app, userId, isToBury));
    if (burial === undefined) throw wrongPassword();
    return burial;
  } catch (error) {
    if (!isViolationOf(error, "rooms_last_owner")) throw error;
    const names = await listOwnedAlone(app, userId);
    throw new AppError("LAST_OWNER", `Cannot delete the account: nobody else owns ${names.join(", ")}`, {
      cause: error,
    });
  }
}

/** Names of the rooms with others in them that have no other owner. */
async function listOwnedAlone(app: App, userId: string): Promise<string[]> {
  const rooms = await app.sql<{ name: string }[]>`
    select name
    from rooms
    join members on members.room_id = rooms.id
    where user_id = ${userId}
      and role = 'OWNER'
      and owner_count = 1
      and member_count > 1
    order by name
    limit ${NAMED_ROOMS_MAX}`;
  return rooms.map(({ name }) => name);
}

/** Buries what the account got in the very moment of its deletion, so that the statement did not see it: a room that was
 * joined or made. Nothing comes after that, because `lockAccount` finds the account deleted. */
async function buryRest(app: App, userId: string): Promise<void> {
  const { sql } = app;
  const [rest] = await sql`
    select
    where exists (
        select
        from members
        join rooms on rooms.id = members.room_id
        where user_id = ${userId}
          and rooms.kind <> 'DIRECT'
      )
      or exists (select from scheduled_messages where author_id = ${userId} and status = 'PENDING')`;
  if (rest === undefined) return;
  const burial = await retryDeadlock(() => storeBurial(app, userId, sql`deleted_at is not null`));
  if (burial !== undefined) publishBurial(app, burial);
}

/** Everything in one statement. Each part asks for the one before it, because they must lock in the order of all others:
 * scheduled messages, memberships, rooms, logs, and only then the user, on whom foreign keys of sends in flight wait. */
async function storeBurial(app: App, userId: string, isToBury: Fragment): Promise<Burial | undefined> {
  const { sql } = app;
  const handle = `deleted_${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
  const [burial] = await sql<Burial[]>`
    with account as (
      select id
      from users
      where id = ${userId}
        and ${isToBury}
    ), canceled as (
      update scheduled_messages
      set status = 'CANCELED'
      from account
      where author_id = account.id
        and status = 'PENDING'
      returning scheduled_messages.id
    ), member as (
      delete from members
      using account, rooms
      where members.user_id = account.id
        and rooms.id = members.room_id
        and rooms.kind <> 'DIRECT'
        and (select count(*) from canceled) >= 0
      returning members.id, members.room_id, members.role
    ), room as (
      update rooms
      set ${takeSeq(app)},
        member_count = member_count - 1,
        owner_count = owner_count - (member.role = 'OWNER')::int,
        -- A room that nobody is in any more goes, as if it were deleted.
        deleted_at = case when member_count = 1 then now() end,
        kind = case when member_count = 1 then 'PRIVATE' else kind end,
        slug = case when member_count = 1 then null else slug end,
        icon_id = case when member_count = 1 then null else icon_id end
      from member
      where rooms.id = member.room_id
      returning rooms.id, rooms.last_seq, rooms.deleted_at, member.id as member_id
    ), event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select id, last_seq, 'MEMBER_REMOVED', ${userId}::uuid, ${userId}::uuid,
        jsonb_build_object('reason', 'LEFT', 'memberId', member_id)
      from room
      returning room_id, seq, kind, actor_id, subject_id, data, created_at
    ), invite as (
      update invites
      set status = 'REVOKED'
      from account
      where status = 'PENDING'
        and (
          inviter_id = account.id or invitee_id = account.id
          or room_id in (select id from room where deleted_at is not null)
        )
      returning invites.id, invitee_id
    ), block as (
      delete from blocks
      using account
      where blocker_id = account.id
        or blocked_id = account.id
      returning blocker_id, blocked_id
    ), notification as (
      delete from notifications
      using account
      where user_id = account.id
    ), receipt as (
      delete from announcement_receipts
      using account
      where user_id = account.id
    ), unsent as (
      delete from attachments
      using account
      where uploader_id = account.id
        and message_id is null
    ), news as (
      select invitee_id as user_id, 'INVITE_UPDATED' as kind, id as subject_id, null::jsonb as data
      from invite
      where invitee_id <> ${userId}
      union all
      select blocker_id, 'VIEWER_UPDATED', blocker_id, null
      from block
      where blocker_id <> ${userId}
    ), ${appendViewerEvents(app)}, buried as (
      update users
      set username = ${handle},
        email = users.id || '@deleted.invalid',
        display_name = ${PLACEHOLDER_NAME},
        bio = null,
        avatar_id = null,
        password_hash = '',
        role = 'USER',
        suspended_at = null,
        last_seen_at = null,
        deleted_at = coalesce(deleted_at, now())
      from account
      where users.id = account.id
        and ${isToBury}
        and (select count(*) from event) + (select count(*) from viewer_log) >= 0
      returning users.id
    ), session as (
      update sessions
      set ended_at = coalesce(ended_at, now()),
        client_name = null,
        ip_address = null
      from buried
      where user_id = buried.id
      returning sessions.id, ended_at = now()::timestamptz(3) as has_just_ended
    )
    select array(select id from session where has_just_ended) as ended,
      (select coalesce(jsonb_agg(event), '[]') from event) as events,
      (select coalesce(jsonb_agg(block), '[]') from block) as unblocked,
      ${toldUsers(app)}
    from buried`;
  return burial;
}

function wrongPassword(): AppError {
  return new AppError("INVALID_CREDENTIALS", "Cannot delete the account: the password is wrong", {
    path: ["password"],
  });
}
