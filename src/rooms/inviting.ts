/** What becomes of invites: made, accepted, declined, taken back. Each change is told to those whom it concerns. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import { isBlocked } from "../users/blocks.ts";
import { insertNotifications, notificationNews } from "../users/notifications.ts";
import { noSuchUser } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { isBanned } from "./bans.ts";
import { type Invite, inviteColumns, type InviteStatus, listInvites, listVisibleInvites } from "./invites.ts";
import { banned, enterRoom, noSuchInvite } from "./join.ts";
import { listMemberships, lockPermitted, type Member, requireMember } from "./members.ts";
import { hasPermission, requirePermission } from "./permissions.ts";

/** How long an invite waits for its answer. */
const INVITE_DAYS = 7;
/** Users that are invited at once. */
const INVITEES_MAX = 50;

export interface Invited {
  /** The invites that were made, in the order of the users. */
  readonly invites: readonly Invite[];
  /** Why others were not; `path` leads to the id. */
  readonly failures: readonly AppError[];
}

/** Invites users to the room, those who can be; `null` stands for a text that is no user id. Who is named twice is invited
 * once. Throws FORBIDDEN, TOO_LONG, RATE_LIMITED; NOT_FOUND, ALREADY_MEMBER, BANNED and BLOCKED are failures of one. */
export async function inviteToRoom(app: App, member: Member, userIds: readonly (string | null)[]): Promise<Invited> {
  requirePermission(member, "INVITE_MEMBERS", "roomId");
  checkInvitees("userIds", userIds);
  await app.limits.take("invite", member.userId);
  const wanted = [...new Set(userIds)].filter((id) => id !== null);
  const invites = await insertInvites(app, member, wanted);
  const invited = new Set(invites.map(({ inviteeId }) => inviteeId));
  if (wanted.every((id) => invited.has(id)) && !userIds.includes(null)) return { invites, failures: [] };
  const current = await requireMember(app, member, member.roomId);
  requirePermission(current, "INVITE_MEMBERS", "roomId");
  const standings = await listStandings(app, member, wanted);
  const failures = userIds.flatMap((id, index) => {
    if (id !== null && (invited.has(id) || userIds.indexOf(id) < index)) return [];
    return [whyNot(standings.find((each) => each.id === id), ["userIds", String(index)])];
  });
  return { invites, failures };
}

/** Throws TOO_LONG for more than can be invited at once. */
export function checkInvitees(field: string, ids: readonly unknown[]): void {
  if (ids.length <= INVITEES_MAX) return;
  const state = `there are ${ids.length} users, the limit is ${INVITEES_MAX}`;
  throw new AppError("TOO_LONG", `Cannot invite them: ${state}`, { path: [field], limit: INVITEES_MAX });
}

async function insertInvites(app: App, member: Member, userIds: readonly string[]): Promise<Invite[]> {
  const { sql } = app;
  const rows = await retryDeadlock(() =>
    sql<(Invite & { told: string[] })[]>`
    with actor as (${lockPermitted(app, member, { permission: "INVITE_MEMBERS" })}
    ), invitee as (
      select wanted.invite_id, wanted.place, users.id, actor.room_id, actor.user_id as inviter_id
      from unnest(${userIds.map(() => newId())}::uuid[], ${userIds as string[]}::uuid[])
        with ordinality as wanted (invite_id, user_id, place)
      join users on users.id = wanted.user_id and users.deleted_at is null
      cross join actor
      join rooms on rooms.id = actor.room_id
      where not exists (select from members where members.room_id = rooms.id and members.user_id = users.id)
        and not ${isBanned(app, sql`users.id`)}
        and not ${isBlocked(app, sql`actor.user_id`, sql`users.id`)}
    ), overdue as (
      update invites
      set status = 'EXPIRED'
      from invitee
      where invites.room_id = invitee.room_id
        and invites.invitee_id = invitee.id
        and status = 'PENDING'
        and expires_at <= now()
      returning invites.id, invites.invitee_id
    ), ${
      // Counts the overdue first: their places must be free.
      insertInviteRows(app, sql`select * from invitee where (select count(*) from overdue) >= 0`)}, news as (
      select invitee_id as user_id, 'INVITE_UPDATED' as kind, id as subject_id, null::jsonb as data from overdue
      union all
      select * from invite_news
    ), ${appendViewerEvents(app)}
    select invite.*, ${toldUsers(app)}
    from invite
    join invitee on invitee.invite_id = invite.id
    order by place`
  );
  publishViewerEvents(app, rows[0]?.told ?? []);
  return rows.map(({ told: _, ...invite }) => invite);
}

/** Parts of a `with` that invite whom `invitees` selects: `invite_id, id, room_id, inviter_id`. Whoever is invited already
 * is passed over. The statement puts `invite_news` into the `news` of `appendViewerEvents`. */
export function insertInviteRows(app: App, invitees: Fragment): Fragment {
  return app.sql`
    invite as (
      insert into invites (id, room_id, inviter_id, invitee_id, expires_at)
      select invite_id, room_id, inviter_id, id, now() + make_interval(days => ${INVITE_DAYS})
      from (${invitees}) as invitee
      on conflict (room_id, invitee_id) where status = 'PENDING' do nothing
      returning ${inviteColumns(app)}
    ), causes as (
      select invitee_id as user_id, 'INVITE' as kind, inviter_id as actor_id, null::uuid as message_id, id as invite_id
      from invite
    ), ${insertNotifications(app)}, invite_news as (
      select invitee_id as user_id, 'INVITE_UPDATED' as kind, id as subject_id, null::jsonb as data from invite
      union all
      ${notificationNews(app)}
    )`;
}

interface Standing {
  readonly id: string;
  readonly isMember: boolean;
  readonly isBanned: boolean;
  readonly isBlocked: boolean;
}

async function listStandings(app: App, member: Member, userIds: readonly string[]): Promise<Standing[]> {
  return await app.sql<Standing[]>`
    select users.id,
      exists (select from members where members.room_id = rooms.id and members.user_id = users.id) as is_member,
      ${isBanned(app, app.sql`users.id`)} as is_banned,
      ${isBlocked(app, app.sql`${member.userId}::uuid`, app.sql`users.id`)} as is_blocked
    from users
    join rooms on rooms.id = ${member.roomId}
    where users.id = any(${userIds as string[]}::uuid[])
      and users.deleted_at is null`;
}

function whyNot(user: Standing | undefined, path: readonly string[]): AppError {
  if (user === undefined) return noSuchUser(path);
  if (user.isMember) return new AppError("ALREADY_MEMBER", "Cannot invite the user: already in the room", { path });
  if (user.isBanned) return banned(...path);
  if (user.isBlocked) return blockedAt(path);
  return new AppError("ALREADY_MEMBER", "Cannot invite the user: already invited", { path });
}

export function blockedAt(path: readonly string[]): AppError {
  return new AppError("BLOCKED", "Cannot reach the user: one of you has blocked the other", { path });
}

/** Accepts an invite of the viewer and joins; accepting twice changes nothing.
 * Throws NOT_FOUND for one that is not the viewer's or waits no longer, BANNED, ROOM_FULL. */
export async function acceptInvite(
  app: App,
  viewer: Viewer,
  inviteId: string | null,
): Promise<{ invite: Invite; member: Member }> {
  const { id, roomId, status } = await requireReceived(app, viewer, inviteId);
  if (status === "PENDING") await enterRoom(app, viewer, { roomId, inviteId: id });
  const invite = await settle(app, { inviteId: id, status: "ACCEPTED", isAllowed: isInvitee(app, viewer) });
  const [member] = await listMemberships(app, viewer, [roomId]);
  if (invite?.status !== "ACCEPTED" || member === undefined) throw noSuchInvite();
  return { invite, member };
}

/** Declines an invite of the viewer; declining twice changes nothing. Throws NOT_FOUND for one that is not the viewer's or
 * waits no longer. */
export async function declineInvite(app: App, viewer: Viewer, inviteId: string | null): Promise<Invite> {
  const { id } = await requireReceived(app, viewer, inviteId);
  const invite = await settle(app, { inviteId: id, status: "DECLINED", isAllowed: isInvitee(app, viewer) });
  if (invite?.status !== "DECLINED") throw noSuchInvite();
  return invite;
}

/** Takes an invite back, whoever of the room made it; doing it twice changes nothing. Throws NOT_FOUND for one that waits no
 * longer or that the viewer may not see, FORBIDDEN. */
export async function revokeInvite(app: App, viewer: Viewer, inviteId: string | null): Promise<Invite> {
  const { id, roomId } = await requireInvite(app, viewer, inviteId);
  const [member] = await listMemberships(app, viewer, [roomId]);
  if (member === undefined || !hasPermission(member, "INVITE_MEMBERS")) throw mayNotRevoke();
  const isAllowed = app.sql`exists (${lockPermitted(app, member, { permission: "INVITE_MEMBERS" })})`;
  const invite = await settle(app, { inviteId: id, status: "REVOKED", isAllowed });
  if (invite?.status === "PENDING") throw mayNotRevoke(); // has lost the permission meanwhile
  if (invite?.status !== "REVOKED") throw noSuchInvite();
  return invite;
}

function mayNotRevoke(): AppError {
  return new AppError("FORBIDDEN", "Cannot take the invite back: it takes the permission INVITE_MEMBERS", {
    path: ["inviteId"],
  });
}

async function requireInvite(app: App, viewer: Viewer, inviteId: string | null): Promise<Invite> {
  const [invite] = inviteId === null ? [] : await listVisibleInvites(app, viewer, [inviteId]);
  if (invite === undefined) throw noSuchInvite();
  return invite;
}

async function requireReceived(app: App, viewer: Viewer, inviteId: string | null): Promise<Invite> {
  const invite = await requireInvite(app, viewer, inviteId);
  if (invite.inviteeId !== viewer.userId) throw noSuchInvite();
  return invite;
}

function isInvitee({ sql }: App, viewer: Viewer): Fragment {
  return sql`invitee_id = ${viewer.userId}`;
}

/** Gives a pending invite its end, where the condition allows it, and returns it as it is then; of two who do it at once
 * one comes first, and the other finds it answered. */
async function settle(
  app: App,
  { inviteId, status, isAllowed }: {
    readonly inviteId: string;
    readonly status: InviteStatus;
    readonly isAllowed: Fragment;
  },
): Promise<Invite | undefined> {
  const isAnswer = status !== "REVOKED";
  const [settled] = await retryDeadlock(() =>
    app.sql<{ told: string[] }[]>`
    with invite as (
      update invites
      set status = ${status}
      where id = ${inviteId}
        and status = 'PENDING'
        and expires_at > now()
        and ${isAllowed}
      returning id, inviter_id, invitee_id
    ), news as (
      select invitee_id as user_id, 'INVITE_UPDATED' as kind, id as subject_id, null::jsonb as data from invite
      union all
      select inviter_id, 'INVITE_UPDATED', id, null from invite where ${isAnswer}
    ), ${appendViewerEvents(app)}
    select ${toldUsers(app)} from invite`
  );
  publishViewerEvents(app, settled?.told ?? []);
  const [invite] = await listInvites(app, [inviteId]);
  return invite;
}
