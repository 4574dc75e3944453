/** Blocking people: no direct messages, no invites, no mentions, and neither sees whether the other is there. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";

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

/** Blocks another user and returns their id; blocking twice changes nothing. Throws NOT_FOUND, and INVALID_INPUT for oneself. */
export async function blockUser(app: App, userId: string, otherId: string | null): Promise<string> {
  if (userId === otherId) {
    throw new AppError("INVALID_INPUT", "Cannot block the user: it is yourself", { path: ["userId"] });
  }
  const [other] = await app.sql<{ id: string }[]>`
    with other as (
      select id
      from users
      where id = ${otherId}
    ), block as (
      insert into blocks (blocker_id, blocked_id)
      select ${userId}, id from other
      on conflict do nothing
    )
    select id from other`;
  if (other === undefined) throw noSuchUser();
  publishBlock(app, { blockerId: userId, blockedId: other.id, isBlocked: true });
  return other.id;
}

/** Lifts a block and returns the other's id; nothing happens where there is none. Throws NOT_FOUND. */
export async function unblockUser(app: App, userId: string, otherId: string | null): Promise<string> {
  const [other] = await app.sql<{ id: string }[]>`
    with block as (
      delete from blocks
      where blocker_id = ${userId}
        and blocked_id = ${otherId}
    )
    select id
    from users
    where id = ${otherId}`;
  if (other === undefined) throw noSuchUser();
  publishBlock(app, { blockerId: userId, blockedId: other.id, isBlocked: false });
  return other.id;
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

function publishBlock(app: App, change: BlockChange): void {
  app.bus.publish(BLOCKS_TOPIC, change);
}

function noSuchUser(): AppError {
  return new AppError("NOT_FOUND", "Cannot find the user: there is none with this id", { path: ["userId"] });
}
