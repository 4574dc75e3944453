/** Whom a message or a reaction notifies: what the statements that write them have in common. */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";
import type { Member } from "../rooms/members.ts";
import { isBlocked } from "../users/blocks.ts";
import { insertNotifications } from "../users/notifications.ts";

export interface Notice {
  readonly messageId: string;
  /** Selects of `user_id, kind` that return rows only when the message is written. */
  readonly reasons: readonly Fragment[];
}

/** Parts of a `with` that notify people of the room: each once for a message, a mention before a reply, and never the one who
 * acts, nor those who want no notifications of the room or where one has blocked the other. */
export function notifyMembers(app: App, actor: Member, { messageId, reasons }: Notice): Fragment {
  const { sql } = app;
  return sql`
    causes as (
      select distinct on (members.user_id)
        members.user_id, reason.kind, ${actor.userId}::uuid as actor_id, ${messageId}::uuid as message_id,
        null::uuid as invite_id
      from (${reasons.reduce((all, reason) => sql`${all} union all ${reason}`)}) as reason
      join members on members.room_id = ${actor.roomId} and members.user_id = reason.user_id
      where members.user_id <> ${actor.userId}
        and members.notification_level <> 'NONE'
        and not ${isBlocked(app, sql`members.user_id`, sql`${actor.userId}::uuid`)}
        and (reason.kind = 'REACTION' or not exists (
          select
          from notifications
          where notifications.user_id = members.user_id
            and notifications.message_id = ${messageId}
            and notifications.kind in ('MENTION', 'REPLY')
        ))
      order by members.user_id, reason.kind -- MENTION, REPLY
    ), ${insertNotifications(app)}`;
}
