/** Bans: who is kept out of a room, for how long and by whom. A ban that is over counts as none. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { optionalText } from "../lib/texts.ts";
import { requireFuture } from "../lib/times.ts";
import { readPage } from "../platform/keyset.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import { noSuchUser } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { takeSeq } from "./events.ts";
import { lockBoth, lockPermitted, type Member, requireMember } from "./members.ts";
import { rankOf, requirePermission, rolesWith } from "./permissions.ts";
import { isOutranked, logRemoval, notOutranked, publishRemoval, REASON_MAX, type Removed } from "./removals.ts";

/** Statements that may find the user's log grown under them before it is given up. */
const TRIES = 10;
const RETRY_AFTER_MS = 1_000;

export interface Ban {
  readonly id: string;
  readonly roomId: string;
  readonly userId: string;
  readonly moderatorId: string;
  readonly reason: string | null;
  readonly createdAt: Date;
  /** `null`: never. */
  readonly expiresAt: Date | null;
}

/** The bans in force with these ids, seen by one who may see them. */
export async function listBans(app: App, ids: readonly string[]): Promise<Ban[]> {
  return await app.sql<Ban[]>`
    select *
    from bans
    where id = any(${ids as string[]}::uuid[])
      and ${isInForce(app)}`;
}

/** Those of the bans in force that the viewer may see: of rooms where the viewer may ban. */
export async function listVisibleBans(app: App, viewer: Viewer, ids: readonly string[]): Promise<Ban[]> {
  return await app.sql<Ban[]>`
    select bans.*
    from bans
    join members as mine on mine.room_id = bans.room_id
    where bans.id = any(${ids as string[]}::uuid[])
      and ${isInForce(app)}
      and mine.user_id = ${viewer.userId}
      and mine.role = any(${rolesWith("BAN_MEMBERS")}::text[])`;
}

/** The room's bans in force, newest first. Throws BAD_USER_INPUT. */
export async function pageBans(app: App, member: Member, page: Page): Promise<Connection<Ban>> {
  return await readPage<Ban>(app.sql, {
    name: "room.bans",
    rows: app.sql`select * from bans where room_id = ${member.roomId} and ${isInForce(app)}`,
    key: [["created_at", "timestamptz"], ["id", "uuid"]],
    keyOf: ({ createdAt, id }) => [createdAt.toISOString(), id],
    descending: true,
  }, page);
}

/** Whether the user, a column or a value cast to `uuid`, is banned from a row of `rooms` now. */
export function isBanned(app: App, userId: Fragment): Fragment {
  return app.sql`exists (
    select
    from bans
    where bans.room_id = rooms.id
      and bans.user_id = ${userId}
      and ${isInForce(app)}
  )`;
}

function isInForce({ sql }: App): Fragment {
  return sql`(bans.expires_at is null or bans.expires_at > now())`;
}

export interface BanInput {
  readonly userId: string | null;
  readonly reason?: string | null | undefined;
  readonly expiresAt?: Date | null | undefined;
}

export interface Banned {
  readonly ban: Ban;
  /** Id of the membership that ended; `null` where there was none. */
  readonly removedMemberId: string | null;
}

/** Keeps a user out of the room, member or not, and ends the membership; banning again replaces reason and end.
 * Throws FORBIDDEN, NOT_FOUND, INVALID_INPUT, TOO_LONG, UNAVAILABLE. */
export async function banUser(app: App, member: Member, input: BanInput): Promise<Banned> {
  requirePermission(member, "BAN_MEMBERS", "roomId");
  if (input.userId === member.userId) {
    throw new AppError("INVALID_INPUT", "Cannot ban the user: it is yourself", { path: ["userId"] });
  }
  const reason = optionalText("reason", input.reason, REASON_MAX);
  const expiresAt = input.expiresAt ? requireFuture("expiresAt", input.expiresAt) : null;
  for (let tries = 0; tries < TRIES; tries++) {
    const done = await insertBan(app, member, { userId: input.userId, reason, expiresAt });
    if (done !== null) return done;
    await explainRefusal(app, member, input.userId);
  }
  throw new AppError("UNAVAILABLE", "Cannot ban the user: too much is going on with them, try again", {
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** Throws why the ban was refused; returns where nothing is in its way, because something has changed meanwhile. */
async function explainRefusal(app: App, member: Member, userId: string | null): Promise<void> {
  const users = await app.sql`select from users where id = ${userId} and deleted_at is null`;
  if (users.length === 0) throw noSuchUser();
  requirePermission(await requireMember(app, member, member.roomId), "BAN_MEMBERS", "roomId");
  if (await isOutranked(app, member, userId) === false) throw notOutranked();
}

/** `null` where the statement found the ban not allowed, or something changed while it waited for its locks.
 *
 * A join that commits while the statement waits for the room is not in its snapshot, so that it would ban but not remove.
 * But every join grows the log of the one who joins: the head of the log is compared, under its lock, with the snapshot's.
 * The other way round, a join that waits for the room notices the ban by `ban_count`. */
async function insertBan(
  app: App,
  member: Member,
  { userId, reason, expiresAt }: Pick<Ban, "reason" | "expiresAt"> & { readonly userId: string | null },
): Promise<Banned | null> {
  const { sql } = app;
  const [row] = await retryDeadlock(() =>
    sql<BanRow[]>`
    with present as (${lockBoth(app, member, userId)}
    ), person as materialized (
      select users.id, viewer_logs.last_seq, theirs.id as member_id
      from users
      join viewer_logs on viewer_logs.user_id = users.id
      join present as own on own.user_id = ${member.userId}
      left join present as theirs on theirs.user_id = users.id
      where users.id = ${userId}
        and users.deleted_at is null
        and own.role = any(${rolesWith("BAN_MEMBERS")}::text[])
        and (theirs.id is null or ${rankOf(sql, "own.role")} > ${rankOf(sql, "theirs.role")})
    ), place as (
      select rooms.id
      from rooms
      cross join person
      where rooms.id = ${member.roomId}
      for no key update of rooms
    ), settled as (
      select person.id as user_id, person.member_id, place.id as room_id
      from viewer_logs
      join person on person.id = viewer_logs.user_id
      cross join place
      where person.member_id is not null -- and locked, so that nobody can take its place
        or viewer_logs.last_seq = person.last_seq
      for update of viewer_logs
    ), member as (
      delete from members
      using settled
      where members.id = settled.member_id
      returning members.id, members.room_id, members.user_id
    ), room as (
      update rooms
      set ${takeSeq(app, sql`(member.id is not null)::int`)},
        member_count = member_count - (member.id is not null)::int,
        ban_count = ban_count + 1
      from settled
      left join member on true
      where rooms.id = settled.room_id
      returning rooms.last_seq
    ), ban as (
      insert into bans (id, room_id, user_id, moderator_id, reason, expires_at)
      select ${newId()}, room_id, user_id, ${member.userId}, ${reason}, ${expiresAt}::timestamptz from settled
      on conflict (room_id, user_id) do update
      set id = case when bans.expires_at <= now() then excluded.id else bans.id end,
        created_at = case when bans.expires_at <= now() then excluded.created_at else bans.created_at end,
        moderator_id = excluded.moderator_id,
        reason = excluded.reason,
        expires_at = excluded.expires_at
      returning *
    ), revoked as (
      update invites
      set status = 'REVOKED'
      from settled
      where invites.room_id = settled.room_id
        and invites.invitee_id = settled.user_id
        and invites.status = 'PENDING'
      returning invites.id, invites.invitee_id
    ), ${logRemoval(app, { actorId: member.userId, reason: "BANNED", note: reason })}, news as (
      select * from removal_news
      union all
      select invitee_id, 'INVITE_UPDATED', id, null from revoked
    ), ${appendViewerEvents(app)}
    select ban.*, event.seq, event.data, event.created_at as removed_at, ${toldUsers(app)}
    from ban
    left join event on true`
  );
  if (row === undefined) return null;
  const { seq, data, removedAt, told, ...ban } = row;
  if (seq === null || data === null || removedAt === null) {
    publishViewerEvents(app, told);
    return { ban, removedMemberId: null };
  }
  publishRemoval(app, {
    roomId: ban.roomId,
    seq,
    kind: "MEMBER_REMOVED",
    actorId: member.userId,
    subjectId: ban.userId,
    data,
    createdAt: removedAt,
    told,
  });
  return { ban, removedMemberId: data.memberId };
}

interface BanRow extends Ban {
  readonly seq: number | null;
  readonly data: Removed["data"] | null;
  readonly removedAt: Date | null;
  readonly told: readonly string[];
}

/** Lifts the ban of a user and returns its id. Throws FORBIDDEN, and NOT_FOUND for one who is not banned. */
export async function unbanUser(app: App, member: Member, userId: string | null): Promise<string> {
  requirePermission(member, "BAN_MEMBERS", "roomId");
  const [lifted] = await app.sql<(Ban & { isOver: boolean })[]>`
    with member as (${lockPermitted(app, member, { permission: "BAN_MEMBERS" })}
    )
    delete from bans
    using member
    where bans.room_id = member.room_id
      and bans.user_id = ${userId}
    returning bans.*, not ${isInForce(app)} as is_over`;
  if (lifted && !lifted.isOver) return lifted.id;
  requirePermission(await requireMember(app, member, member.roomId), "BAN_MEMBERS", "roomId");
  throw new AppError("NOT_FOUND", "Cannot lift the ban: the user is not banned from the room", { path: ["userId"] });
}
