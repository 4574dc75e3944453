/** Announcements as notifications. They are not stored for each user: these are the rows that would be. */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";
import { isFor } from "./announcements.ts";

/** A select of the user's notifications of kind ANNOUNCEMENT, to be united (`union all`) with one of the stored ones:
 *
 *     id uuid (the announcement's), kind text, actor_id uuid (null), message_id uuid (null), invite_id uuid (null),
 *     announcement_id uuid, created_at timestamptz(3), read_at timestamptz(3)
 *
 * What was published before the account was made is none, nor what was taken back; one that is over stays. Served by the
 * index `announcements_newest` and the primary key of the receipts. */
export function announcementNotifications(app: App, userId: string): Fragment {
  return app.sql`
    select announcements.id,
      'ANNOUNCEMENT' as kind,
      null::uuid as actor_id,
      null::uuid as message_id,
      null::uuid as invite_id,
      announcements.id as announcement_id,
      announcements.published_at as created_at,
      announcement_receipts.read_at
    from users
    join announcements on announcements.published_at >= users.created_at
    left join announcement_receipts on announcement_receipts.announcement_id = announcements.id
      and announcement_receipts.user_id = users.id
    where users.id = ${userId}
      and announcements.retracted_at is null
      and ${isFor(app, userId)}`;
}

/** One part of a `with`, called `read_announcement`, that marks as read those of `announcementNotifications` which are not
 * yet and which `isMeant` names: a condition on the columns of `notification`, like `notification.id = any(…)` or
 * `notification.created_at <= …`. Returns `announcement_id`, one row for each that was marked. */
export function markAnnouncementsRead(app: App, userId: string, isMeant: Fragment): Fragment {
  return app.sql`
    read_announcement as (
      insert into announcement_receipts (user_id, announcement_id, read_at)
      select ${userId}::uuid, notification.id, now()
      from (${announcementNotifications(app, userId)}) as notification
      where notification.read_at is null
        and ${isMeant}
      on conflict (user_id, announcement_id) do update
      set read_at = excluded.read_at
      where announcement_receipts.read_at is null
      returning announcement_id
    )`;
}
