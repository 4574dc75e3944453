/** The logs are kept for a while, not for ever: what is older is cut, and a cursor from before gets a resync. Deleted rooms go
 * with them. */
import type { App } from "../app.ts";
import { repeat } from "../platform/timers.ts";
import { purgeRooms } from "../rooms/deletions.ts";

const INTERVAL_MS = 3_600_000;
/** Rows of one statement, so that it holds no lock for long. */
const ROWS_MAX = 10_000;

/** Cuts what is old as long as the app runs, beginning now. */
export function keepRetention(app: App): AsyncDisposable {
  const clean = () => {
    app.background(cutLogs(app));
    app.background(purgeRooms(app));
  };
  clean();
  return repeat(INTERVAL_MS, clean);
}

/** Deletes events older than the retention and returns how many. What they are about stays: it is not in the logs. */
export async function cutLogs(app: App): Promise<number> {
  return await cutLog(app, "room_events", "room_id") + await cutLog(app, "viewer_events", "user_id");
}

async function cutLog({ sql, config }: App, log: "room_events" | "viewer_events", owner: string): Promise<number> {
  let total = 0;
  while (true) {
    const { count } = await sql`
      delete from ${sql(log)}
      where ctid = any(array(
        select ctid
        from ${sql(log)}
        where created_at < now() - make_interval(days => ${config.eventRetentionDays})
        order by ${sql(owner)}, seq -- so that a log is only ever cut at its beginning
        limit ${ROWS_MAX}
      ))`;
    total += count;
    if (count < ROWS_MAX) return total;
  }
}
