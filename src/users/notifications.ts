/** What asks for one user's attention: stored by the statement that causes it, read and marked as read here. Announcements
 * are notifications too, but not stored for each user (see `users/announcement_notifications.ts`). */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import { announcementNotifications, markAnnouncementsRead } from "./announcement_notifications.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "./viewer_events.ts";

/** Notifications that `markNotificationsRead` takes, and returns. */
const MARKED_MAX = 100;

export type NotificationKind = "MENTION" | "REPLY" | "REACTION" | "INVITE" | "ANNOUNCEMENT";

export interface Notification {
  readonly id: string;
  readonly kind: NotificationKind;
  readonly actorId: string;
  /** Exactly one of the subjects is set. */
  readonly messageId: string | null;
  readonly inviteId: string | null;
  readonly announcementId: string | null;
  readonly createdAt: Date;
  readonly readAt: Date | null;
}

/** One part of a `with` that stores notifications for what the part `causes` before it selects: `user_id, kind, actor_id,
 * message_id, invite_id`. Returns `id, user_id` of the new ones, for the `news` of `appendViewerEvents`. */
export function insertNotifications({ sql }: App): Fragment {
  return sql`
    notification as (
      insert into notifications (id, user_id, kind, actor_id, message_id, invite_id)
      select gen_random_uuid(), user_id, kind, actor_id, message_id, invite_id from causes
      on conflict do nothing -- a reaction that was taken back and given again
      returning id, user_id
    )`;
}

/** What `news` says of them. */
export function notificationNews({ sql }: App): Fragment {
  return sql`select user_id, 'NOTIFICATION_CREATED' as kind, id as subject_id, null::jsonb as data from notification`;
}

/** All notifications of the user: the rows behind the list, the count and every other way to reach one. */
function selectNotifications(app: App, userId: string): Fragment {
  return app.sql`
    select id, kind, actor_id, message_id, invite_id, null::uuid as announcement_id, created_at, read_at
    from notifications
    where user_id = ${userId}
    union all
    ${announcementNotifications(app, userId)}`;
}

const NOTIFICATIONS: Omit<Keyset<Notification>, "rows"> = {
  name: "viewer.notifications",
  key: [["created_at", "timestamptz"], ["id", "uuid"]],
  keyOf: ({ createdAt, id }) => [createdAt.toISOString(), id],
  descending: true,
};

/** The user's notifications, newest first. Throws BAD_USER_INPUT. */
export async function pageNotifications(
  app: App,
  userId: string,
  { unreadOnly, page }: { readonly unreadOnly: boolean; readonly page: Page },
): Promise<Connection<Notification>> {
  const rows = app.sql`
    select *
    from (${selectNotifications(app, userId)}) as notification
    where ${unreadOnly ? app.sql`read_at is null` : app.sql`true`}`;
  return await readPage(app.sql, { ...NOTIFICATIONS, rows }, page);
}

/** Position of a notification in `viewer.notifications`. */
export function notificationCursor(notification: Notification): string {
  return cursorOf(NOTIFICATIONS, notification);
}

/** Those of the notifications that are the user's. */
export async function listNotifications(app: App, userId: string, ids: readonly string[]): Promise<Notification[]> {
  return await app.sql<Notification[]>`
    select *
    from (${selectNotifications(app, userId)}) as notification
    where id = any(${ids as string[]}::uuid[])`;
}

export async function countUnreadNotifications(app: App, userId: string): Promise<number> {
  const [{ count }] = await app.sql<[{ count: number }]>`
    select count(*)::int as count
    from (${selectNotifications(app, userId)}) as notification
    where read_at is null`;
  return count;
}

/** Marks these notifications of the user as read, all where none are named, and returns those that were not: the newest 100.
 * An id is `null` for a text that is none. All or nothing: throws NOT_FOUND, TOO_LONG. */
export async function markNotificationsRead(
  app: App,
  userId: string,
  ids: readonly (string | null)[] | null,
): Promise<Notification[]> {
  const { sql } = app;
  const meant = ids && await requireOwn(app, userId, ids);
  const isMeant = (id: Fragment) => meant === null ? sql`true` : sql`${id} = any(${meant}::uuid[])`;
  const [result] = await retryDeadlock(() =>
    sql<{ marked: string[]; told: string[] }[]>`
    with stored as (
      update notifications
      set read_at = now()
      where user_id = ${userId}
        and read_at is null
        and ${isMeant(sql`notifications.id`)}
      returning id, created_at
    ), ${markAnnouncementsRead(app, userId, isMeant(sql`notification.id`))}, marked as (
      select id, created_at from stored
      union all
      select announcements.id, published_at
      from read_announcement
      join announcements on announcements.id = announcement_id
    ), news as (
      select ${userId}::uuid as user_id, 'VIEWER_UPDATED' as kind, ${userId}::uuid as subject_id, null::jsonb as data
      where exists (select from marked)
    ), ${appendViewerEvents(app)}
    select array(select id from marked order by created_at desc, id desc limit ${MARKED_MAX}) as marked, ${
      toldUsers(app)
    }`
  );
  publishViewerEvents(app, result?.told ?? []);
  const marked = await listNotifications(app, userId, result?.marked ?? []);
  return (result?.marked ?? []).flatMap((id) => marked.find((each) => each.id === id) ?? []);
}

/** The ids, if each is that of a notification of the user. */
async function requireOwn(app: App, userId: string, ids: readonly (string | null)[]): Promise<string[]> {
  if (ids.length > MARKED_MAX) {
    const state = `there are ${ids.length}, the limit is ${MARKED_MAX}`;
    throw new AppError("TOO_LONG", `Cannot mark the notifications: ${state}`, {
      path: ["notificationIds"],
      limit: MARKED_MAX,
    });
  }
  const wanted = ids.filter((id) => id !== null);
  const own = new Set<string | null>((await listNotifications(app, userId, wanted)).map(({ id }) => id));
  const unknown = ids.findIndex((id) => !own.has(id));
  if (unknown < 0) return wanted;
  throw new AppError("NOT_FOUND", "Cannot mark the notification: you have none with this id", {
    path: ["notificationIds", String(unknown)],
  });
}
