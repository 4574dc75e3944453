/** The room log is kept for a while, not for ever: what is older is cut, and a cursor from before gets a resync. */
import type { App } from "../app.ts";

const INTERVAL_MS = 3_600_000;
/** Rows of one statement, so that it holds no lock for long. */
const ROWS_MAX = 10_000;

export function keepRetention(app: App): AsyncDisposable {
  app.background(cutLogs(app));
  const timer = setInterval(() => app.background(cutLogs(app)), INTERVAL_MS);
  return {
    [Symbol.asyncDispose]() {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}

/** Deletes events older than the retention and returns how many. Messages stay: they are not in the log. */
export async function cutLogs(app: App): Promise<number> {
  let total = 0;
  while (true) {
    const { count } = await app.sql`
      delete from room_events
      where ctid = any(array(
        select ctid
        from room_events
        where created_at < now() - make_interval(days => ${app.config.eventRetentionDays})
        order by room_id, seq -- so that a log is only ever cut at its beginning
        limit ${ROWS_MAX}
      ))`;
    total += count;
    if (count < ROWS_MAX) return total;
  }
}
