/** Invites: what they are, who may see them, and the rows behind every way to reach one. One that nobody has answered in
 * time reads as expired at once, whenever the sweep comes to note it. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import { repeat } from "../platform/timers.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import type { Member } from "./members.ts";
import { rolesWith } from "./permissions.ts";

export type InviteStatus = "PENDING" | "ACCEPTED" | "DECLINED" | "REVOKED" | "EXPIRED";

export interface Invite {
  readonly id: string;
  readonly roomId: string;
  readonly inviterId: string;
  readonly inviteeId: string;
  readonly status: InviteStatus;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** The columns of an `Invite`, of `invites`. */
export function inviteColumns({ sql }: App): Fragment {
  return sql`
    invites.id, invites.room_id, invites.inviter_id, invites.invitee_id, invites.created_at, invites.expires_at,
    case when status = 'PENDING' and invites.expires_at <= now() then 'EXPIRED' else status end as status`;
}

/** The invites with these ids, seen by one who may see them. */
export async function listInvites(app: App, ids: readonly string[]): Promise<Invite[]> {
  return await app.sql<Invite[]>`
    select ${inviteColumns(app)}
    from invites
    where id = any(${ids as string[]}::uuid[])`;
}

/** Those of the invites that the viewer may see: as invitee, or as one in the room who made it or may invite, while there is a
 * room. */
export async function listVisibleInvites(
  app: App,
  viewer: Pick<Viewer, "userId">,
  ids: readonly string[],
): Promise<Invite[]> {
  return await app.sql<Invite[]>`
    select ${inviteColumns(app)}
    from invites
    where id = any(${ids as string[]}::uuid[])
      and exists (select from rooms where rooms.id = room_id and rooms.deleted_at is null)
      and (
        invitee_id = ${viewer.userId}
        or exists (
          select
          from members
          where members.room_id = invites.room_id
            and members.user_id = ${viewer.userId}
            and (inviter_id = ${viewer.userId} or members.role = any(${rolesWith("INVITE_MEMBERS")}::text[]))
        )
      )`;
}

const INVITES: Omit<Keyset<Invite>, "rows"> = {
  name: "viewer.invites",
  key: [["created_at", "timestamptz"], ["id", "uuid"]],
  keyOf: ({ createdAt, id }) => [createdAt.toISOString(), id],
  descending: true,
};

/** The invites that wait for the viewer's answer, newest first. Throws BAD_USER_INPUT. */
export async function pageViewerInvites(app: App, viewer: Viewer, page: Page): Promise<Connection<Invite>> {
  return await readPage(
    app.sql,
    { ...INVITES, rows: selectPending(app, app.sql`invitee_id = ${viewer.userId}`) },
    page,
  );
}

/** Position of an invite in `viewer.invites`. */
export function inviteCursor(invite: Invite): string {
  return cursorOf(INVITES, invite);
}

/** The invites to the room that wait for an answer, newest first. Throws BAD_USER_INPUT. */
export async function pageRoomInvites(app: App, member: Member, page: Page): Promise<Connection<Invite>> {
  const rows = selectPending(app, app.sql`room_id = ${member.roomId}`);
  return await readPage(app.sql, { ...INVITES, name: "room.invites", rows }, page);
}

function selectPending(app: App, isWanted: Fragment): Fragment {
  return app.sql`
    select ${inviteColumns(app)}
    from invites
    where ${isWanted}
      and status = 'PENDING'
      and expires_at > now()
      and exists (select from rooms where rooms.id = room_id and rooms.deleted_at is null)`;
}

/** How often overdue invites are noted. Nobody waits for it: they read as expired at once. */
const SWEEP_MS = 60_000;
/** Rows of one statement, so that it holds no lock for long. */
const ROWS_MAX = 500;

/** Notes overdue invites as long as the app runs, so that their people are told. */
export function sweepInvites(app: App): AsyncDisposable {
  return repeat(SWEEP_MS, () => app.background(expireInvites(app)));
}

/** Marks overdue invites as expired, tells the invited, and returns how many there were. */
export async function expireInvites(app: App): Promise<number> {
  let total = 0;
  while (true) {
    const [{ count, told } = { count: 0, told: [] }] = await retryDeadlock(() =>
      app.sql<{ count: number; told: string[] }[]>`
      with due as (
        select id
        from invites
        where status = 'PENDING'
          and expires_at <= now()
        order by expires_at
        limit ${ROWS_MAX}
        for update skip locked -- by another node, or being answered in this moment
      ), expired as (
        update invites
        set status = 'EXPIRED'
        from due
        where invites.id = due.id
        returning invites.id, invitee_id
      ), news as (
        select invitee_id as user_id, 'INVITE_UPDATED' as kind, id as subject_id, null::jsonb as data from expired
      ), ${appendViewerEvents(app)}
      select (select count(*) from expired) as count, ${toldUsers(app)}`
    );
    publishViewerEvents(app, told);
    total += count;
    if (count < ROWS_MAX) return total;
  }
}
