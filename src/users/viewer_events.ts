/** Each user's own log: rooms come and gone, invites, notifications, scheduled messages, changes of the account. Rows are
 * appended by the statement that causes them, numbered without gaps, and read by the streams of `live/`. */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";

export type ViewerEventKind =
  | "ROOM_ADDED"
  | "ROOM_REMOVED"
  | "INVITE_UPDATED"
  | "NOTIFICATION_CREATED"
  | "SCHEDULED_MESSAGE_UPDATED"
  | "VIEWER_UPDATED";

export interface ViewerEvent {
  readonly userId: string;
  /** Its number in the user's log: 1, 2, 3, … without a gap, in commit order. */
  readonly seq: number;
  readonly kind: ViewerEventKind;
  /** A room, an invite, a notification, a scheduled message, or the user. */
  readonly subjectId: string;
  /** Of a ROOM_REMOVED: `reason`, and what the moderator said. */
  readonly data: { readonly reason?: string; readonly note?: string } | null;
  readonly createdAt: Date;
  /** Whether what it is about is still there, and in view: the room that was added, for one who is in it. */
  readonly isThere: boolean;
}

/** Two more parts of a `with` that append to the logs of users what the part `news` before them selects:
 * `user_id, kind, subject_id, data`, in order. The statement should return `toldUsers`, for `publishViewerEvents`. */
export function appendViewerEvents({ sql }: App): Fragment {
  // Inserted in order of the user, and so locked in that order: statements that tell the same people can't deadlock.
  return sql`
    viewer_log as (
      insert into viewer_logs (user_id, last_seq)
      select user_id, count(*) from news group by user_id order by user_id
      on conflict (user_id) do update
      set last_seq = viewer_logs.last_seq + excluded.last_seq
      returning user_id, last_seq
    ), viewer_event as (
      insert into viewer_events (user_id, seq, kind, subject_id, data)
      select news.user_id,
        viewer_log.last_seq + 1 - row_number() over (partition by news.user_id order by news.place desc),
        kind, subject_id, data
      from (select *, row_number() over () as place from news) as news
      join viewer_log on viewer_log.user_id = news.user_id
    )`;
}

/** The column of a statement with `appendViewerEvents` that says whose logs have grown. */
export function toldUsers({ sql }: App): Fragment {
  return sql`array(select user_id from viewer_log) as told`;
}

/** Topic of the hints that a user's log has grown. */
export function viewerTopic(userId: string): string {
  return `viewer:${userId}`;
}

/** Tells every node whose logs have grown. What was appended is safe before that. */
export function publishViewerEvents(app: App, userIds: readonly string[]): void {
  for (const userId of userIds) app.bus.publish(viewerTopic(userId), null);
}

/** Events after `seq`, oldest first, at most `limit`. */
export async function listViewerEvents(
  app: App,
  userId: string,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<ViewerEvent[]> {
  return await app.sql<ViewerEvent[]>`
    select user_id, seq, kind, subject_id, data, created_at,
      case kind
        when 'ROOM_ADDED' then exists (
          select from members where members.user_id = ${userId} and members.room_id = subject_id
        )
        when 'INVITE_UPDATED' then exists (
          select
          from invites
          where id = subject_id
            and (
              invitee_id = ${userId}
              -- who made it and was removed since is told nothing more of the room
              or exists (select from members where members.room_id = invites.room_id and members.user_id = ${userId})
            )
        )
        when 'NOTIFICATION_CREATED' then exists (select from notifications where id = subject_id)
        when 'SCHEDULED_MESSAGE_UPDATED' then exists (select from scheduled_messages where id = subject_id)
        else true
      end as is_there
    from viewer_events
    where user_id = ${userId}
      and seq > ${after}
    order by seq
    limit ${limit}`;
}
