/** The account of the one who asks, with the position from which what concerns it alone can be followed. */
import type { App } from "../app.ts";
import type { ViewerPosition } from "../lib/viewer_cursors.ts";
import type { Fragment } from "../platform/sql.ts";
import { type User, userColumns } from "./users.ts";

export interface ViewerAccount extends User, ViewerPosition {}

/** The accounts with these ids, each with the position as of the same snapshot. */
export async function listViewers(app: App, ids: readonly string[]): Promise<ViewerAccount[]> {
  return await app.sql<ViewerAccount[]>`
    select ${userColumns(app)}, ${positionColumns(app)}
    from users
    join viewer_logs on viewer_logs.user_id = users.id
    where users.id = any(${ids as string[]}::uuid[])`;
}

/** The end of everything that concerns the user; `null` where there is none. */
export async function findPosition(app: App, userId: string): Promise<ViewerPosition | null> {
  const [position] = await app.sql<ViewerPosition[]>`
    select ${positionColumns(app)}
    from viewer_logs
    where user_id = ${userId}`;
  return position ?? null;
}

function positionColumns({ sql }: App): Fragment {
  return sql`
    viewer_logs.epoch,
    viewer_logs.last_seq as seq,
    (select last_seq from announcement_log) as announcement_seq,
    pg_snapshot_xmin(pg_current_snapshot())::text as xid`;
}
