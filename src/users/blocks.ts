/** Blocking people: no direct messages, no invites, no mentions, and neither sees whether the other is there. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { type Keyset, readPage } from "../platform/keyset.ts";
import type { Fragment } from "../platform/sql.ts";
import { noSuchUser, type User, userColumns } from "./users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "./viewer_events.ts";

/** Topic of the hints that a block was made or lifted. */
export const BLOCKS_TOPIC = "blocks";

export interface BlockChange {
  readonly blockerId: string;
  readonly blockedId: string;
  readonly isBlocked: boolean;
}

export function isBlockChange(message: unknown): message is BlockChange {
  const { blockerId, blockedId, isBlocked } = (message ?? {}) as { readonly [Key in keyof BlockChange]?: unknown };
  return typeof blockerId === "string" && typeof blockedId === "string" && typeof isBlocked === "boolean";
}

/** Blocks another user and returns their id; blocking twice changes nothing. Throws NOT_FOUND, RATE_LIMITED, and
 * INVALID_INPUT for oneself. */
export async function blockUser(app: App, userId: string, otherId: string | null): Promise<string> {
  if (userId === otherId) {
    throw new AppError("INVALID_INPUT", "Cannot block the user: it is yourself", { path: ["userId"] });
  }
  await app.limits.take("block", userId);
  const [other] = await app.sql<BlockedUser[]>`
    with other as (
      select id
      from users
      where id = ${otherId}
        and deleted_at is null
    ), block as (
      insert into blocks (blocker_id, blocked_id)
      select ${userId}, id from other
      on conflict do nothing
      returning blocker_id
    ), ${blockerNews(app)}
    select id, ${toldUsers(app)} from other`;
  if (other === undefined) throw noSuchUser();
  publishBlock(app, { blockerId: userId, blockedId: other.id, isBlocked: true });
  publishViewerEvents(app, other.told);
  return other.id;
}

interface BlockedUser {
  readonly id: string;
  readonly told: readonly string[];
}

/** What the other devices of those who changed a `block` are told. */
function blockerNews(app: App): Fragment {
  return app.sql`
    news as (
      select blocker_id as user_id, 'VIEWER_UPDATED' as kind, blocker_id as subject_id, null::jsonb as data from block
    ), ${appendViewerEvents(app)}`;
}

/** Lifts a block and returns the other's id; nothing happens where there is none. Throws NOT_FOUND. */
export async function unblockUser(app: App, userId: string, otherId: string | null): Promise<string> {
  const [other] = await app.sql<BlockedUser[]>`
    with block as (
      delete from blocks
      where blocker_id = ${userId}
        and blocked_id = ${otherId}
      returning blocker_id
    ), ${blockerNews(app)}
    select id, ${toldUsers(app)}
    from users
    where id = ${otherId}`;
  if (other === undefined) throw noSuchUser();
  publishBlock(app, { blockerId: userId, blockedId: other.id, isBlocked: false });
  publishViewerEvents(app, other.told);
  return other.id;
}

type BlockedRow = User & { readonly blockedAt: Date };

const BLOCKED_USERS: Omit<Keyset<BlockedRow>, "rows"> = {
  name: "viewer.blockedUsers",
  key: [["blocked_at", "timestamptz"], ["id", "uuid"]],
  keyOf: ({ blockedAt, id }) => [blockedAt.toISOString(), id],
  descending: true,
};

/** Whom the user has blocked, the last one first. Throws BAD_USER_INPUT. */
export async function pageBlockedUsers(app: App, userId: string, page: Page): Promise<Connection<User>> {
  const rows = app.sql`
    select ${userColumns(app)}, blocks.created_at as blocked_at
    from blocks
    join users on users.id = blocks.blocked_id
    where blocks.blocker_id = ${userId}`;
  return await readPage<BlockedRow>(app.sql, { ...BLOCKED_USERS, rows }, page);
}

/** Whether one of two users has blocked the other, as a condition; each is a column or a value cast to `uuid`. */
export function isBlocked({ sql }: App, one: Fragment, other: Fragment): Fragment {
  return sql`exists (
    select
    from blocks
    where (blocker_id = ${one} and blocked_id = ${other})
      or (blocker_id = ${other} and blocked_id = ${one})
  )`;
}

/** Tells every node, for what is live there. */
export function publishBlock(app: App, change: BlockChange): void {
  app.bus.publish(BLOCKS_TOPIC, change);
}
