/** Changing a room, and how much of it one is told of. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { parseKind } from "./create.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "./events.ts";
import { lockPermitted, type Member, type NotificationLevel, requireMember } from "./members.ts";
import { requirePermission, type RoomKind } from "./permissions.ts";
import { lockPicture, pictureGone } from "./icons.ts";
import { parseName, parseSlug, parseTopic, slugTaken } from "./slugs.ts";

/** Seconds between two messages of one member at most: six hours. */
const SLOW_MODE_MAX = 21_600;

/** What is left out stays as it is; `null` clears the topic, the slow mode and the icon. */
export interface RoomChange {
  readonly kind?: RoomKind | null | undefined;
  readonly name?: string | null | undefined;
  readonly slug?: string | null | undefined;
  readonly topic?: string | null | undefined;
  readonly slowModeSeconds?: number | null | undefined;
  /** A picture in `files` that is ready and that nothing refers to. */
  readonly iconId?: string | null | undefined;
}

/** Changes the room and returns its id; what is as it was already is no event. Throws FORBIDDEN, EMPTY, TOO_LONG,
 * INVALID_INPUT, SLUG_TAKEN, UNAVAILABLE. */
export async function updateRoom(app: App, member: Member, input: RoomChange): Promise<string> {
  requirePermission(member, "MANAGE_ROOM", "roomId");
  const change = parseChange(input);
  const columns = Object.keys(change) as (keyof typeof change)[];
  if (columns.length === 0) return member.roomId;
  const { sql } = app;
  const { iconId = null } = change;
  const provided = iconId === null ? sql`true` : sql`exists (select from picture)`;
  const isChanged = columns
    .map((column) => sql`${sql(column)} is distinct from ${change[column] ?? null}`)
    .reduce((all, each) => sql`${all} or ${each}`);
  try {
    const [event] = await retryDeadlock(() =>
      sql<RoomEvent[]>`
      with picture as (${lockPicture(app, iconId)}
      ), actor as (${lockPermitted(app, member, { permission: "MANAGE_ROOM", provided })}
      ), room as (
        update rooms
        set ${takeSeq(app)}, ${sql(change, columns)}
        from actor
        where rooms.id = actor.room_id
          and (${isChanged})
        returning rooms.id, rooms.last_seq
      ), icon as (
        update files
        set unused_since = null
        from room, picture
        where files.id = picture.id
      )
      insert into room_events (room_id, seq, kind, actor_id, subject_id)
      select id, last_seq, 'ROOM_UPDATED', ${member.userId}::uuid, id from room
      returning *`
    );
    if (event) publishRoomEvent(app, event);
    else requirePermission(await requireMember(app, member, member.roomId), "MANAGE_ROOM", "roomId");
    if (!event && iconId !== null) throw pictureGone();
    return member.roomId;
  } catch (error) {
    throw isViolationOf(error, "rooms_slug_key") ? slugTaken(error) : error;
  }
}

interface Columns {
  readonly kind?: "PUBLIC" | "PRIVATE";
  readonly name?: string;
  readonly slug?: string;
  readonly topic?: string | null;
  readonly slowModeSeconds?: number;
  readonly iconId?: string | null;
}

function parseChange({ kind, name, slug, topic, slowModeSeconds, iconId }: RoomChange): Columns {
  return {
    ...(kind === undefined ? {} : { kind: parseKind(kind) }),
    ...(name === undefined ? {} : { name: parseName(name ?? "") }),
    ...(slug === undefined ? {} : { slug: requireSlug(slug) }),
    ...(topic === undefined ? {} : { topic: parseTopic(topic) }),
    ...(slowModeSeconds === undefined ? {} : { slowModeSeconds: parseSlowMode(slowModeSeconds ?? 0) }),
    ...(iconId === undefined ? {} : { iconId }),
  };
}

function requireSlug(text: string | null): string {
  const slug = parseSlug(text);
  if (slug === null) throw new AppError("EMPTY", "Cannot use the slug: it is empty", { path: ["slug"] });
  return slug;
}

function parseSlowMode(seconds: number): number {
  if (seconds >= 0 && seconds <= SLOW_MODE_MAX) return seconds;
  throw new AppError("INVALID_INPUT", `Cannot use the slow mode: it takes 0 to ${SLOW_MODE_MAX} seconds`, {
    path: ["slowModeSeconds"],
    limit: SLOW_MODE_MAX,
  });
}

/** Changes which messages of the room notify the member, and tells the member's other devices. Throws NOT_A_MEMBER,
 * NOT_FOUND. */
export async function updateRoomNotifications(app: App, member: Member, level: NotificationLevel): Promise<void> {
  const [changed] = await retryDeadlock(() =>
    app.sql<{ told: string[] }[]>`
    with member as (
      update members
      set notification_level = ${level}
      where id = ${member.id}
        and notification_level <> ${level}
      returning user_id
    ), news as (
      select user_id, 'VIEWER_UPDATED' as kind, user_id as subject_id, null::jsonb as data from member
    ), ${appendViewerEvents(app)}
    select ${toldUsers(app)} from member`
  );
  if (changed === undefined) await requireMember(app, member, member.roomId); // was so already, or removed meanwhile
  else publishViewerEvents(app, changed.told);
}
