/** Rooms: making them and finding them. Who may see what is decided here; a private room does not exist for strangers. */
import type { Viewer } from "../auth/viewer.ts";
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { isStorable, optionalText, requireText } from "../lib/texts.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { isViolationOf } from "../platform/sql.ts";
import { appendViewerEvents, publishViewerEvents } from "../users/viewer_events.ts";
import { isVisibleTo } from "./members.ts";
import type { RoomKind } from "./permissions.ts";

const NAME_MAX = 80;
const TOPIC_MAX = 500;
const SLUG_MAX = 60;
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
  readonly creatorId: string;
  readonly slowModeSeconds: number;
  /** Seq of the newest event of the log. */
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly lastActivityAt: Date;
  readonly createdAt: Date;
}

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
  const words = (search ?? "").slice(0, SEARCH_MAX).replaceAll("\0", "").split(/\s+/).filter(Boolean).slice(
    0,
    SEARCH_WORDS_MAX,
  );
  const patterns = words.map((word) => `%${word.replace(/[\\%_]/g, "\\$&")}%`);
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

export interface CreateRoomInput {
  readonly kind: RoomKind;
  readonly name: string;
  readonly slug?: string | null | undefined;
  readonly topic?: string | null | undefined;
}

/** Creates a room with the viewer as its owner and first event. Throws EMPTY, TOO_LONG, INVALID_INPUT, SLUG_TAKEN,
 * RATE_LIMITED. */
export async function createRoom(app: App, viewer: Viewer, input: CreateRoomInput): Promise<Room> {
  const name = requireText("name", input.name, NAME_MAX);
  const topic = optionalText("topic", input.topic, TOPIC_MAX);
  const chosenSlug = optionalText("slug", input.slug, SLUG_MAX);
  const slug = chosenSlug === null ? makeSlug(name) : parseSlug(chosenSlug);
  await app.limits.take("createRoom", viewer.userId);
  const draft = { kind: input.kind, name, topic };
  try {
    return await insertRoom(app, viewer, { ...draft, slug });
  } catch (error) {
    if (!isViolationOf(error, "rooms_slug_key")) throw error;
    if (chosenSlug !== null) {
      throw new AppError("SLUG_TAKEN", "Cannot use the slug: it is taken", { path: ["slug"], cause: error });
    }
    const suffix = crypto.getRandomValues(new Uint8Array(4)).toHex();
    return await insertRoom(app, viewer, {
      ...draft,
      slug: `${slug.slice(0, SLUG_MAX - 9).replace(/-$/, "")}-${suffix}`,
    });
  }
}

async function insertRoom(
  app: App,
  viewer: Viewer,
  draft: {
    readonly kind: CreateRoomInput["kind"];
    readonly name: string;
    readonly slug: string;
    readonly topic: string | null;
  },
): Promise<Room> {
  const memberId = newId();
  const [room] = await app.sql<Room[]>`
    with room as (
      insert into rooms ${
    app.sql({ id: newId(), ...draft, creatorId: viewer.userId, lastSeq: 1, memberCount: 1, ownerCount: 1 })
  }
      returning *
    ), member as (
      insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
      select ${memberId}, id, creator_id, 'OWNER', last_seq, last_seq from room
    ), news as (
      select creator_id as user_id, 'ROOM_ADDED' as kind, id as subject_id, null::jsonb as data from room
    ), ${appendViewerEvents(app)}, event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select id, last_seq, 'MEMBER_JOINED', creator_id, creator_id, ${
    app.sql.json({ memberId, role: "OWNER" })
  } from room
    )
    select * from room`;
  if (room === undefined) throw new Error("insert returned no room");
  publishViewerEvents(app, [viewer.userId]);
  return room;
}

function parseSlug(text: string): string {
  const slug = text.toLowerCase();
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(slug)) {
    throw new AppError("INVALID_INPUT", "Cannot use the slug: it takes a-z and 0-9, with single `-` in between", {
      path: ["slug"],
    });
  }
  return slug;
}

/** `Café Olé!` → `cafe-ole`; a name without Latin letters or digits gives `room`. */
function makeSlug(name: string): string {
  const plain = name.normalize("NFKD").replace(/\p{Mark}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").slice(0, SLUG_MAX).replace(/^-+|-+$/g, "") || "room";
}
