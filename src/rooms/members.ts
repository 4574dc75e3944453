/** Memberships. A `Member` is the key to a room: what happens inside asks for one, and only this file gives it out. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { parseEventCursor } from "../lib/event_cursors.ts";
import { newId } from "../lib/ids.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { isViolationOf } from "../platform/sql.ts";
import { publishRoomEvent, type RemovalReason, type RoomEvent, type RoomRole } from "./events.ts";

const SEARCH_MAX = 80;
const REASON_MAX = 500;

export interface Member {
  readonly id: string;
  readonly roomId: string;
  /** Epoch of the room's log: what cursors of this room begin with. */
  readonly epoch: string;
  readonly userId: string;
  readonly role: RoomRole;
  readonly joinedSeq: number;
  readonly joinedAt: Date;
}

const RANKS: Readonly<Record<RoomRole, number>> = { OWNER: 2, MODERATOR: 1, MEMBER: 0 };

/** Whether the first may act on the second: nobody acts on an equal or higher. */
export function outranks(role: RoomRole, other: RoomRole): boolean {
  return RANKS[role] > RANKS[other];
}

/** Whether the role may act on what others made in the room. */
export function isModerator(role: RoomRole): boolean {
  return RANKS[role] >= RANKS.MODERATOR;
}

export async function listMembers(app: App, ids: readonly string[]): Promise<Member[]> {
  return await app.sql<Member[]>`
    select members.*, rooms.epoch
    from members
    join rooms on rooms.id = members.room_id
    where members.id = any(${ids as string[]}::uuid[])`;
}

/** The viewer's memberships in these rooms; none where the viewer is not in. */
export async function listMemberships(app: App, viewer: Viewer, roomIds: readonly string[]): Promise<Member[]> {
  return await app.sql<Member[]>`
    select members.*, rooms.epoch
    from members
    join rooms on rooms.id = members.room_id
    where members.room_id = any(${roomIds as string[]}::uuid[])
      and members.user_id = ${viewer.userId}`;
}

/** Those of the memberships that the viewer may see: of rooms the viewer is in. */
export async function listVisibleMembers(app: App, viewer: Viewer, ids: readonly string[]): Promise<Member[]> {
  return await app.sql<Member[]>`
    select members.*, rooms.epoch
    from members
    join rooms on rooms.id = members.room_id
    join members as mine on mine.room_id = members.room_id
    where members.id = any(${ids as string[]}::uuid[])
      and mine.user_id = ${viewer.userId}`;
}

/** The viewer's key to a room. Throws NOT_FOUND where there is no such room or it is private and the viewer is not in;
 * NOT_A_MEMBER where the viewer has not joined a public room. */
export async function requireMember(app: App, viewer: Viewer, roomId: string | null): Promise<Member> {
  const [found] = await app.sql<(Member & { kind: string })[]>`
    select rooms.kind, rooms.epoch, members.*
    from rooms
    left join members on members.room_id = rooms.id and members.user_id = ${viewer.userId}
    where rooms.id = ${roomId}`;
  if (found?.id) return found;
  throw found?.kind === "PUBLIC" ? notAMember() : noSuchRoom();
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
  const prefix = (filter.search ?? "").trim().replace(/^@/, "").slice(0, SEARCH_MAX).replaceAll("\0", "").replace(
    /[\\%_]/g,
    "\\$&",
  );
  const rows = sql`
    ${selectSorted(app)}
    where members.room_id = ${member.roomId}
      and (users.username like ${prefix.toLowerCase() + "%"} or users.display_name ilike ${prefix + "%"})
      and ${filter.roles ? sql`members.role = any(${filter.roles as string[]}::text[])` : sql`true`}`;
  return await readPage<MemberRow>(sql, { ...MEMBERS, rows }, page);
}

function selectSorted({ sql }: App) {
  return sql`
    select members.*,
      rooms.epoch,
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

/** The memberships that these `MEMBER_JOINED` events began, in their order; as they were, where they have ended since. */
export async function listJoinedMembers(app: App, events: readonly JoinedEvent[]): Promise<MemberRow[]> {
  const ids = events.map(({ data }) => data?.memberId ?? null);
  const members = await app.sql<MemberRow[]>`
    ${selectSorted(app)}
    where members.id = any(${ids as string[]}::uuid[])`;
  return events.map((event, index) => members.find(({ id }) => id === ids[index]) ?? formerMember(event));
}

type JoinedEvent = Omit<RoomEvent, "kind"> & { readonly cursor: string };

function formerMember({ roomId, cursor, subjectId, seq, createdAt, data }: JoinedEvent): MemberRow {
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
    rank: 2 - RANKS[role],
    sortName: "",
  };
}

/** Joins a public room; returns the membership there is already for one who is in. Throws NOT_FOUND, ROOM_FULL.
 * Looks for the member before it locks the room, the order of every statement: a removal on its way cannot deadlock. */
export async function joinRoom(app: App, viewer: Viewer, roomId: string | null): Promise<Member> {
  const memberId = newId();
  try {
    const [event] = await app.sql<RoomEvent[]>`
      with present as (
        select
        from members
        where room_id = ${roomId}
          and user_id = ${viewer.userId}
        for key share
      ), room as (
        update rooms
        set last_seq = last_seq + 1,
          member_count = member_count + 1
        where id = ${roomId}
          and kind = 'PUBLIC'
          and not exists (select from present)
        returning id, last_seq
      ), member as (
        insert into members (id, room_id, user_id, role, joined_seq)
        select ${memberId}, id, ${viewer.userId}, 'MEMBER', last_seq from room
      )
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select id, last_seq, 'MEMBER_JOINED', ${viewer.userId}::uuid, ${viewer.userId}::uuid, ${
      app.sql.json({ memberId, role: "MEMBER" })
    } from room
      returning *`;
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

/** Leaves a room and returns its id; nothing happens for one who is not in. Throws NOT_FOUND, LAST_OWNER. */
export async function leaveRoom(app: App, viewer: Viewer, roomId: string | null): Promise<string> {
  if (roomId === null) throw noSuchRoom();
  await removeMember(app, viewer.userId, { roomId, userId: viewer.userId, reason: "LEFT", details: {} });
  return roomId;
}

export interface KickInput {
  readonly userId: string | null;
  readonly reason?: string | null | undefined;
}

/** Removes another member and returns the id of the membership that ended. Throws FORBIDDEN, NOT_FOUND. */
export async function kickMember(app: App, member: Member, input: KickInput): Promise<string> {
  const note = input.reason?.trim().slice(0, REASON_MAX) || undefined;
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
    details: note === undefined ? {} : { note },
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
    const [event] = await app.sql<(RoomEvent & { data: { memberId: string } })[]>`
      with member as (
        delete from members
        where room_id = ${roomId}
          and user_id = ${userId}
        returning id, room_id, role
      ), room as (
        update rooms
        set last_seq = last_seq + 1,
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
      returning *`;
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
