/** What asks for one user's attention: stored by the statement that causes it, read and marked as read here. Announcements
 * are notifications too, but are not stored for each user (see `admin/announcements.ts`). */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";

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
