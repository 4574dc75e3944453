/** Publishing announcements and taking them back: what only admins may. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { requireText } from "../lib/texts.ts";
import { requireFuture } from "../lib/times.ts";
import { appendAnnouncementEvent, publishAnnouncementEvent } from "../users/announcement_events.ts";
import {
  type Announcement,
  announcementColumns,
  type AnnouncementLevel,
  noSuchAnnouncement,
} from "../users/announcements.ts";
import { lockAdmin, notAnAdmin, requireAdmin } from "./accounts.ts";

const TITLE_MAX = 120;
const CONTENT_MAX = 4_000;
/** People who are named; for more there are rooms. */
const USERS_MAX = 1_000;

/** Exactly one of the fields. An id is `null` for a text that is none. */
export interface Audience {
  readonly everyone?: boolean | null | undefined;
  readonly roomId?: string | null | undefined;
  readonly userIds?: readonly (string | null)[] | null | undefined;
}

export interface PublishInput {
  readonly audience: Audience;
  readonly title: string;
  readonly content: string;
  readonly level: AnnouncementLevel;
  readonly expiresAt?: Date | null | undefined;
}

/** Publishes an announcement and returns it. Throws FORBIDDEN, EMPTY, TOO_LONG, INVALID_INPUT, NOT_FOUND. */
export async function publishAnnouncement(app: App, viewer: Viewer, input: PublishInput): Promise<Announcement> {
  await requireAdmin(app, viewer);
  const title = requireText("title", input.title, TITLE_MAX);
  const content = requireText("content", input.content, CONTENT_MAX);
  const expiresAt = input.expiresAt ? requireFuture("expiresAt", input.expiresAt) : null;
  const { roomId, userIds } = await parseAudience(app, input.audience);
  const [published] = await app.sql<(Announcement & { lastSeq: number })[]>`
    with publisher as (${lockAdmin(app, viewer)}
    ), announcement as (
      insert into announcements (id, publisher_id, title, content, level, room_id, user_ids, expires_at)
      select ${newId()}, id, ${title}, ${content}, ${input.level}, ${roomId}::uuid, ${userIds}::uuid[],
        ${expiresAt}::timestamptz
      from publisher
      returning ${announcementColumns(app)}
    ), ${appendAnnouncementEvent(app, "ANNOUNCEMENT_PUBLISHED")}
    select announcement.*, log.last_seq from announcement, log`;
  if (published === undefined) throw notAnAdmin();
  publishAnnouncementEvent(app, published.lastSeq);
  return published;
}

/** Takes an announcement back and returns its id; once is enough. Throws FORBIDDEN, NOT_FOUND. */
export async function retractAnnouncement(app: App, viewer: Viewer, id: string | null): Promise<string> {
  await requireAdmin(app, viewer);
  const [retracted] = await app.sql<{ id: string; isAllowed: boolean; lastSeq: number | null }[]>`
    with retractor as (${lockAdmin(app, viewer)}
    ), announcement as (
      update announcements
      set retracted_at = now()
      from retractor
      where announcements.id = ${id}
        and retracted_at is null
      returning announcements.id
    ), ${appendAnnouncementEvent(app, "ANNOUNCEMENT_RETRACTED")}
    select id, exists (select from retractor) as is_allowed, (select last_seq from log) as last_seq
    from announcements
    where id = ${id}`;
  if (retracted === undefined) throw noSuchAnnouncement();
  if (!retracted.isAllowed) throw notAnAdmin();
  if (retracted.lastSeq !== null) publishAnnouncementEvent(app, retracted.lastSeq);
  return retracted.id;
}

/** The audience as it is stored: both `null` for everyone. */
async function parseAudience(
  app: App,
  { everyone, roomId, userIds }: Audience,
): Promise<{ readonly roomId: string | null; readonly userIds: string[] | null }> {
  if (everyone !== undefined) {
    if (everyone) return { roomId: null, userIds: null };
    throw new AppError("INVALID_INPUT", "Cannot publish: `everyone` is true or left out", {
      path: ["audience", "everyone"],
    });
  }
  if (roomId !== undefined) return { roomId: await requireRoom(app, roomId), userIds: null };
  return { roomId: null, userIds: await requireUsers(app, userIds ?? []) };
}

async function requireRoom(app: App, roomId: string | null): Promise<string> {
  const [room] = await app.sql<{ id: string }[]>`
    select id
    from rooms
    where id = ${roomId}
      and deleted_at is null`;
  if (room) return room.id;
  throw new AppError("NOT_FOUND", "Cannot publish: there is no room with this id", { path: ["audience", "roomId"] });
}

async function requireUsers(app: App, ids: readonly (string | null)[]): Promise<string[]> {
  const path = ["audience", "userIds"];
  if (ids.length === 0) throw new AppError("INVALID_INPUT", "Cannot publish: nobody is named", { path });
  if (ids.length > USERS_MAX) {
    const state = `${ids.length} people are named, the limit is ${USERS_MAX}`;
    throw new AppError("TOO_LONG", `Cannot publish: ${state}`, { path, limit: USERS_MAX });
  }
  const users = await app.sql<{ id: string }[]>`
    select id
    from users
    where id = any(${ids as string[]}::uuid[])
      and deleted_at is null`;
  const known = new Set<string | null>(users.map(({ id }) => id));
  const unknown = ids.findIndex((id) => !known.has(id));
  if (unknown < 0) return users.map(({ id }) => id);
  throw new AppError("NOT_FOUND", "Cannot publish: there is no user with this id", { path: [...path, `${unknown}`] });
}
