/** Rooms: what they are and how they are found. A private room does not exist for strangers. */
import type { Viewer } from "../auth/viewer.ts";
import type { App } from "../app.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { isStorable } from "../lib/texts.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { escapeLike } from "../platform/sql.ts";
import { isVisibleTo } from "./members.ts";
import type { RoomKind } from "./permissions.ts";

const SEARCH_MAX = 100;
const SEARCH_WORDS_MAX = 8;

export interface Room {
  readonly id: string;
  readonly epoch: string;
  readonly kind: RoomKind;
  /** `null` for a direct conversation. */
  readonly name: string | null;
  readonly slug: string | null;
  readonly topic: string | null;
  readonly iconId: string | null;
  readonly creatorId: string;
  readonly slowModeSeconds: number;
  /** Seq of the newest event of the log. */
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly lastActivityAt: Date;
  readonly createdAt: Date;
  /** Whether it is private to others, and this only its shell. */
  readonly isHidden?: boolean;
}

/** What a room is called that tells nothing of itself. */
const HIDDEN_NAME = "Private room";

/** The rooms with these ids, seen from inside: for what leads there only from a message or membership in view. */
export async function listRooms(app: App, ids: readonly string[]): Promise<Room[]> {
  return await app.sql<Room[]>`select * from rooms where id = any(${ids as string[]}::uuid[])`;
}

/** Those of the rooms that the viewer may know of. */
export async function listVisibleRooms(app: App, viewer: Viewer | null, ids: readonly string[]): Promise<Room[]> {
  return await app.sql<Room[]>`
    select *
    from rooms
    where id = any(${ids as string[]}::uuid[])
      and ${isVisibleTo(app, viewer)}`;
}

/** The rooms as the viewer may know them now, for what once led there, like an invite: of one that is private to others only
 * the shell. */
export async function listKnownRooms(app: App, viewer: Viewer, ids: readonly string[]): Promise<Room[]> {
  const rooms = await app.sql<(Room & { isVisible: boolean })[]>`
    select *, ${isVisibleTo(app, viewer)} as is_visible
    from rooms
    where id = any(${ids as string[]}::uuid[])`;
  return rooms.map(({ isVisible, ...room }) => isVisible ? room : hide(room));
}

function hide(room: Room): Room {
  const { createdAt: lastActivityAt } = room;
  const shown = {
    kind: "PRIVATE",
    name: HIDDEN_NAME,
    slug: null,
    topic: null,
    iconId: null,
    memberCount: 0,
    slowModeSeconds: 0,
  } as const;
  return { ...room, ...shown, lastActivityAt, isHidden: true };
}

/** `null` where there is no such room or the viewer may not know of it. */
export async function findRoomBySlug(app: App, viewer: Viewer | null, slug: string): Promise<Room | null> {
  if (!isStorable(slug)) return null;
  const [room] = await app.sql<Room[]>`
    select *
    from rooms
    where slug = ${slug.toLowerCase()}
      and ${isVisibleTo(app, viewer)}`;
  return room ?? null;
}

export type RoomOrder = "MEMBER_COUNT" | "LAST_ACTIVITY" | "NAME" | "CREATED_AT";

type ListedRoom = Room & { readonly sortName: string };

const byActivity = (room: Room) => [room.lastActivityAt.toISOString(), room.id];

const ORDERS = {
  MEMBER_COUNT: {
    name: "publicRooms.memberCount",
    key: [["member_count", "int"], ["id", "uuid"]],
    keyOf: (room) => [room.memberCount, room.id],
    descending: true,
  },
  LAST_ACTIVITY: {
    name: "publicRooms.lastActivity",
    key: [["last_activity_at", "timestamptz"], ["id", "uuid"]],
    keyOf: byActivity,
    descending: true,
  },
  NAME: {
    name: "publicRooms.name",
    key: [["sort_name", "text"], ["id", "uuid"]],
    keyOf: (room) => [room.sortName, room.id],
    descending: false,
  },
  CREATED_AT: {
    name: "publicRooms.createdAt",
    key: [["created_at", "timestamptz"], ["id", "uuid"]],
    keyOf: (room) => [room.createdAt.toISOString(), room.id],
    descending: true,
  },
} as const satisfies Record<RoomOrder, Omit<Keyset<ListedRoom>, "rows">>;

/** Rooms that anyone may join. `search` asks for every one of its words in name, slug or topic. Throws BAD_USER_INPUT. */
export async function pagePublicRooms(
  app: App,
  { search, orderBy }: { readonly search?: string | null | undefined; readonly orderBy: RoomOrder },
  page: Page,
): Promise<Connection<Room>> {
  const words = (search ?? "").slice(0, SEARCH_MAX).replaceAll("\0", "").split(/\s+/).filter(Boolean);
  const patterns = words.slice(0, SEARCH_WORDS_MAX).map((word) => `%${escapeLike(word)}%`);
  const rows = app.sql`
    select *, lower(name) as sort_name
    from rooms
    where kind = 'PUBLIC'
      and concat_ws(' ', name, slug, topic) ilike all(${patterns}::text[])`;
  return await readPage<ListedRoom>(app.sql, { ...ORDERS[orderBy], rows }, page);
}

const VIEWER_ROOMS: Omit<Keyset<Room>, "rows"> = { ...ORDERS.LAST_ACTIVITY, name: "viewer.rooms", keyOf: byActivity };

/** The viewer's rooms, latest activity first. Throws BAD_USER_INPUT. */
export async function pageViewerRooms(
  app: App,
  viewer: Viewer,
  { kinds, page }: { readonly kinds?: readonly RoomKind[] | null | undefined; readonly page: Page },
): Promise<Connection<Room>> {
  const rows = app.sql`
    select rooms.*
    from rooms
    join members on members.room_id = rooms.id
    where members.user_id = ${viewer.userId}
      and ${kinds ? app.sql`rooms.kind = any(${kinds as string[]}::text[])` : app.sql`true`}`;
  return await readPage(app.sql, { ...VIEWER_ROOMS, rows }, page);
}

/** Position of a room in `viewer.rooms`. */
export function viewerRoomCursor(room: Room): string {
  return cursorOf(VIEWER_ROOMS, room);
}
