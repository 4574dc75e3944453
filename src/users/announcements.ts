/** Messages from the operators, as those see them whom they are for. There is one row for each, however many people that
 * are: who it is for is decided when it is read, and only what a person has done with it is kept for that person. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "./viewer_events.ts";

export type AnnouncementLevel = "INFO" | "WARNING" | "CRITICAL";

export interface Announcement {
  readonly id: string;
  readonly title: string;
  readonly content: string;
  readonly level: AnnouncementLevel;
  /** For the members of this room; `null` for everyone, or for named users. */
  readonly roomId: string | null;
  readonly publishedAt: Date;
  readonly expiresAt: Date | null;
}

/** The columns of an `Announcement`. Whom else it is for is nobody's business. */
export function announcementColumns({ sql }: App): Fragment {
  return sql`announcements.id, announcements.title, announcements.content, announcements.level, announcements.room_id,
    announcements.published_at, announcements.expires_at`;
}

/** Whether a row of `announcements` is for the user; for nobody (`null`), whether it is for everyone. */
export function isFor({ sql }: App, userId: string | null): Fragment {
  const isForEveryone = sql`(announcements.room_id is null and announcements.user_ids is null)`;
  if (userId === null) return isForEveryone;
  return sql`(
    ${isForEveryone}
    or ${userId} = any(announcements.user_ids)
    or exists (select from members where members.room_id = announcements.room_id and members.user_id = ${userId})
  )`;
}

/** Whether a row of `announcements` is in force: neither retracted nor over. */
export function isInForce({ sql }: App): Fragment {
  return sql`(
    announcements.retracted_at is null
    and (announcements.expires_at is null or announcements.expires_at > now())
  )`;
}

const ANNOUNCEMENTS: Omit<Keyset<Announcement>, "rows"> = {
  name: "announcements",
  key: [["published_at", "timestamptz"], ["id", "uuid"]],
  keyOf: ({ publishedAt, id }) => [publishedAt.toISOString(), id],
  descending: true,
};

/** What is in force for the user, the newest first; nobody sees what is for everyone. Throws BAD_USER_INPUT. */
export async function pageAnnouncements(
  app: App,
  userId: string | null,
  page: Page,
): Promise<Connection<Announcement>> {
  const rows = app.sql`
    select ${announcementColumns(app)}
    from announcements
    where ${isInForce(app)}
      and ${isFor(app, userId)}`;
  return await readPage<Announcement>(app.sql, { ...ANNOUNCEMENTS, rows }, page);
}

/** Position of an announcement in the list of `pageAnnouncements`. */
export function announcementCursor(announcement: Announcement): string {
  return cursorOf(ANNOUNCEMENTS, announcement);
}

/** Those of the announcements that are for the user and were not taken back, also after their end. */
export async function listVisibleAnnouncements(
  app: App,
  userId: string,
  ids: readonly string[],
): Promise<Announcement[]> {
  return await app.sql<Announcement[]>`
    select ${announcementColumns(app)}
    from announcements
    where id = any(${ids as string[]}::uuid[])
      and retracted_at is null
      and ${isFor(app, userId)}`;
}

/** Whether the user has dismissed each of the announcements, in their order. */
export async function listDismissals(app: App, userId: string | null, ids: readonly string[]): Promise<boolean[]> {
  if (userId === null) return ids.map(() => false);
  const dismissed = await app.sql<{ announcementId: string }[]>`
    select announcement_id
    from announcement_receipts
    where user_id = ${userId}
      and announcement_id = any(${ids as string[]}::uuid[])
      and dismissed_at is not null`;
  const found = new Set(dismissed.map(({ announcementId }) => announcementId));
  return ids.map((id) => found.has(id));
}

/** Hides an announcement for the user, and returns it; once is enough. Throws NOT_FOUND. */
export async function dismissAnnouncement(app: App, userId: string, id: string | null): Promise<Announcement> {
  const [dismissed] = await retryDeadlock(() =>
    app.sql<(Announcement & { told: string[] })[]>`
    with announcement as (
      select ${announcementColumns(app)}
      from announcements
      where id = ${id}
        and retracted_at is null
        and ${isFor(app, userId)}
    ), receipt as (
      insert into announcement_receipts (user_id, announcement_id, dismissed_at)
      select ${userId}, id, now() from announcement
      on conflict (user_id, announcement_id) do update
      set dismissed_at = excluded.dismissed_at
      where announcement_receipts.dismissed_at is null
      returning user_id
    ), news as (
      select user_id, 'VIEWER_UPDATED' as kind, user_id as subject_id, null::jsonb as data from receipt
    ), ${appendViewerEvents(app)}
    select *, ${toldUsers(app)} from announcement`
  );
  if (dismissed === undefined) throw noSuchAnnouncement();
  publishViewerEvents(app, dismissed.told);
  return dismissed;
}

export function noSuchAnnouncement(): AppError {
  return new AppError("NOT_FOUND", "Cannot find the announcement: there is none with this id that you may see", {
    path: ["announcementId"],
  });
}
