/** The log of announcements: one for all users, numbered without gaps under the lock of its head. Each reads in it only what
 * is for them. */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";
import { type Announcement, announcementColumns, isFor, isInForce } from "./announcements.ts";

export type AnnouncementEventKind = "ANNOUNCEMENT_PUBLISHED" | "ANNOUNCEMENT_RETRACTED";

export interface AnnouncementEvent {
  /** Its number in the log: 1, 2, 3, … in commit order. Those between are for other people. */
  readonly seq: number;
  readonly kind: AnnouncementEventKind;
  readonly createdAt: Date;
  readonly announcement: Announcement;
}

/** Topic of the hints that the log has grown; a message is `{ seq }`, the new head. */
export const ANNOUNCEMENTS_TOPIC = "announcements";

/** Two more parts of a `with` that append an event for the one row of the part `announcement` before them, if there is one.
 * `log` returns its `last_seq`, for `publishAnnouncementEvent`. */
export function appendAnnouncementEvent({ sql }: App, kind: AnnouncementEventKind): Fragment {
  return sql`
    log as (
      update announcement_log
      set last_seq = last_seq + 1
      from announcement
      returning last_seq, announcement.id as announcement_id
    ), event as (
      insert into announcement_events (seq, kind, announcement_id)
      select last_seq, ${kind}, announcement_id from log
    )`;
}

/** Tells every node of a committed event. It is safe before that: who misses the hint finds it in the log. */
export function publishAnnouncementEvent(app: App, seq: number): void {
  app.bus.publish(ANNOUNCEMENTS_TOPIC, { seq });
}

/** The number of the newest event; 0 before the first. */
export async function announcementHead(app: App): Promise<number> {
  const [log] = await app.sql<{ lastSeq: number }[]>`select last_seq from announcement_log`;
  return log?.lastSeq ?? 0;
}

/** Events after `after` up to `upTo` that are for the user, oldest first, at most `limit`. A reader who gets fewer than
 * `limit` has seen everything up to `upTo`, and goes on from there. A publication that was taken back since, or is over, is
 * left out: only that it was taken back is told. */
export async function listAnnouncementEvents(
  app: App,
  userId: string,
  { after, upTo, limit }: { readonly after: number; readonly upTo: number; readonly limit: number },
): Promise<AnnouncementEvent[]> {
  const rows = await app.sql<(Announcement & { seq: number; kind: AnnouncementEventKind; createdAt: Date })[]>`
    select announcement_events.seq, announcement_events.kind, announcement_events.created_at, ${
    announcementColumns(app)
  }
    from announcement_events
    join announcements on announcements.id = announcement_events.announcement_id
    where announcement_events.seq > ${after}
      and announcement_events.seq <= ${upTo}
      and ${isFor(app, userId)}
      and (announcement_events.kind = 'ANNOUNCEMENT_RETRACTED' or ${isInForce(app)})
    order by announcement_events.seq
    limit ${limit}`;
  return rows.map(({ seq, kind, createdAt, ...announcement }) => ({ seq, kind, createdAt, announcement }));
}
