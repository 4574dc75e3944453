/** Memberships. A `Member` is the key to a room: what happens inside asks for one, and only this file gives it out. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { parseEventCursor } from "../lib/event_cursors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { parsePeopleQuery } from "../lib/texts.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { escapeLike, type Fragment } from "../platform/sql.ts";
import type { RoomEvent, RoomRole } from "./events.ts";
import { isPermitted, type RoomKind, type RoomPermission } from "./permissions.ts";

export interface Member {
  readonly id: string;
  readonly roomId: string;
  /** Epoch of the room's log: what cursors of this room begin with. */
  readonly epoch: string;
  readonly roomKind: RoomKind;
  /** Seconds between two messages of one member; 0 is off. */
  readonly slowModeSeconds: number;
  readonly userId: string;
  readonly role: RoomRole;
  readonly joinedSeq: number;
  readonly joinedAt: Date;
  readonly mutedUntil: Date | null;
  readonly notificationLevel: NotificationLevel;
  /** Seq of the last message read; `joinedSeq` until there is one. */
  readonly lastReadSeq: number;
  readonly lastReadAt: Date | null;
}

export type NotificationLevel = "ALL" | "MENTIONS" | "NONE";

/** The columns of a `Member`, where `members` and `rooms` are joined. */
export function memberColumns({ sql }: App): Fragment {
  return sql`members.*, rooms.epoch, rooms.kind as room_kind, rooms.slow_mode_seconds`;
}

export async function listMembers(app: App, ids: readonly string[]): Promise<Member[]> {
  return await app.sql<Member[]>`
    select ${memberColumns(app)}
    from members
    join rooms on rooms.id = members.room_id
    where members.id = any(${ids as string[]}::uuid[])`;
}

/** The viewer's memberships in these rooms; none where the viewer is not in. */
export async function listMemberships(app: App, viewer: Viewer, roomIds: readonly string[]): Promise<Member[]> {
  return await app.sql<Member[]>`
    select ${memberColumns(app)}
    from members
    join rooms on rooms.id = members.room_id
    where members.room_id = any(${roomIds as string[]}::uuid[])
      and members.user_id = ${viewer.userId}`;
}

/** Those of the memberships that the viewer may see: of rooms the viewer is in. */
export async function listVisibleMembers(app: App, viewer: Viewer, ids: readonly string[]): Promise<Member[]> {
  return await app.sql<Member[]>`
    select ${memberColumns(app)}
    from members
    join rooms on rooms.id = members.room_id
    join members as mine on mine.room_id = members.room_id
    where members.id = any(${ids as string[]}::uuid[])
      and mine.user_id = ${viewer.userId}`;
}

/** The viewer's key to a room. Throws NOT_FOUND where there is no such room or it is private and the viewer neither in nor
 * invited; NOT_A_MEMBER where the viewer could join. */
export async function requireMember(
  app: App,
  viewer: Pick<Viewer, "userId">,
  roomId: string | null,
): Promise<Member> {
  const [found] = await app.sql<(Member & { isVisible: boolean })[]>`
    select ${memberColumns(app)}, ${isVisibleTo(app, viewer)} as is_visible
    from rooms
    left join members on members.room_id = rooms.id and members.user_id = ${viewer.userId}
    where rooms.id = ${roomId}`;
  if (found?.id) return found;
  throw found?.isVisible ? notAMember() : noSuchRoom();
}

/** Whether a row of `rooms` may be known to the viewer: public rooms, and those that the viewer is in or invited to. */
export function isVisibleTo(app: App, viewer: Pick<Viewer, "userId"> | null): Fragment {
  const { sql } = app;
  if (viewer === null) return sql`rooms.kind = 'PUBLIC'`; // a deleted one is private
  return sql`(
    rooms.kind = 'PUBLIC'
    or exists (select from members where members.room_id = rooms.id and members.user_id = ${viewer.userId})
    or (rooms.deleted_at is null and ${isInvited(app, viewer)})
  )`;
}

/** Whether the viewer has an invite to a row of `rooms` that waits for an answer. */
export function isInvited({ sql }: App, { userId }: Pick<Viewer, "userId">): Fragment {
  return sql`exists (
    select
    from invites
    where invites.room_id = rooms.id
      and invites.invitee_id = ${userId}
      and invites.status = 'PENDING'
      and invites.expires_at > now()
  )`;
}

/** Under what the limits by user and room are counted. */
export function limitKey({ userId, roomId }: Member): string {
  return `${userId}:${roomId}`;
}

export function noSuchRoom(): AppError {
  return new AppError("NOT_FOUND", "Cannot find the room: there is none with this id that you may see", {
    path: ["roomId"],
  });
}

export function notAMember(): AppError {
  return new AppError("NOT_A_MEMBER", "Cannot do this: you are not a member of the room", { path: ["roomId"] });
}

export interface MemberFilter {
  /** Prefix of handle or name. */
  readonly search?: string | null | undefined;
  readonly roles?: readonly RoomRole[] | null | undefined;
}

type MemberRow = Member & { readonly rank: number; readonly sortName: string };

const MEMBERS: Omit<Keyset<MemberRow>, "rows"> = {
  name: "room.members",
  key: [["rank", "int"], ["sort_name", "text"], ["id", "uuid"]],
  keyOf: ({ rank, sortName, id }) => [rank, sortName, id],
};

/** Members of the room; owners, then moderators, then by name. Throws BAD_USER_INPUT. */
export async function pageMembers(
  app: App,
  member: Member,
  { filter, page }: { filter: MemberFilter; page: Page },
): Promise<Connection<Member>> {
  const { sql } = app;
  const prefix = `${escapeLike(parsePeopleQuery(filter.search ?? ""))}%`;
  const rows = sql`
    ${selectSorted(app)}
    where members.room_id = ${member.roomId}
      and (users.username like ${prefix.toLowerCase()} or users.display_name ilike ${prefix})
      and ${filter.roles ? sql`members.role = any(${filter.roles as string[]}::text[])` : sql`true`}`;
  return await readPage<MemberRow>(sql, { ...MEMBERS, rows }, page);
}

function selectSorted(app: App) {
  return app.sql`
    select ${memberColumns(app)},
      case members.role when 'OWNER' then 0 when 'MODERATOR' then 1 else 2 end as rank,
      lower(users.display_name) as sort_name
    from members
    join rooms on rooms.id = members.room_id
    join users on users.id = members.user_id`;
}

/** Position of a member in the list of `pageMembers`. */
export function memberCursor(member: MemberRow): string {
  return cursorOf(MEMBERS, member);
}

/** The memberships that these member events are about, in their order; as they were, where they have ended since. */
export async function listEventMembers(app: App, events: readonly MemberEvent[]): Promise<MemberRow[]> {
  const ids = events.map(({ data }) => data?.memberId ?? null);
  const members = await app.sql<MemberRow[]>`
    ${selectSorted(app)}
    where members.id = any(${ids as string[]}::uuid[])`;
  return events.map((event, index) => members.find(({ id }) => id === ids[index]) ?? formerMember(event));
}

type MemberEvent = Omit<RoomEvent, "kind"> & { readonly cursor: string };

function formerMember({ roomId, cursor, subjectId, seq, createdAt, data }: MemberEvent): MemberRow {
  const { epoch } = parseEventCursor(cursor);
  const role = data?.role ?? "MEMBER";
  const id = data?.memberId ?? "";
  return {
    id,
    roomId,
    epoch,
    userId: subjectId,
    role,
    joinedSeq: seq,
    joinedAt: createdAt,
    roomKind: "PRIVATE",
    slowModeSeconds: 0,
    mutedUntil: null,
    notificationLevel: "ALL",
    lastReadSeq: seq,
    lastReadAt: null,
    rank: 2,
    sortName: "",
  };
}

/** The first part of a statement by which a member acts on another: the rows of both, each as it is now and stays until
 * the end. `for update`, as a removal has to lock out sends before it locks the room; by user, so that two can't deadlock. */
export function lockBoth({ sql }: App, member: Member, userId: string | null): Fragment {
  return sql`
    select id, room_id, user_id, role, muted_until
    from members
    where room_id = ${member.roomId}
      and user_id in (${member.userId}, ${userId})
    order by user_id
    for update`;
}

/** The first part of every statement that writes as a member. All lock in the same order (scheduled message, member,
 * message, room, logs of users), so none can deadlock; `key share` lets sends pass each other, while a removal waits or wins. */
export function lockMember({ sql }: App, member: Member): Fragment {
  return sql`
    select room_id, user_id
    from members
    where room_id = ${member.roomId}
      and user_id = ${member.userId}
    for key share`;
}

/** `lockMember` where it takes a permission, which is checked under the lock: with `share`, a mute or another role waits or
 * is seen. */
export function lockPermitted(
  { sql }: App,
  member: Member,
  { permission, provided = sql`true` }: { readonly permission: RoomPermission; readonly provided?: Fragment },
): Fragment {
  return sql`
    select room_id, user_id, role, muted_until
    from members
    where room_id = ${member.roomId}
      and user_id = ${member.userId}
      and ${isPermitted(sql, member.roomKind, permission)}
      and ${provided}
    for share`;
}
