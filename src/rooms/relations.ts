/** How people stand to each other: who shares a room with whom, and who has blocked whom. */
import type { App } from "../app.ts";
import type { RoomRole } from "./events.ts";

export interface Relation {
  readonly sharesRoom: boolean;
  /** The reader has blocked the other. */
  readonly hasBlocked: boolean;
  /** The other has blocked the reader. */
  readonly isBlockedBy: boolean;
}

export const STRANGERS: Relation = { sharesRoom: false, hasBlocked: false, isBlockedBy: false };

/** Whether one may see that the other is there: online or not, typing or not. */
export function isVisible({ sharesRoom, hasBlocked, isBlockedBy }: Relation): boolean {
  return sharesRoom && !hasBlocked && !isBlockedBy;
}

/** Facts about who reads, on which the answers of viewer slots depend. */
export interface Reader {
  readonly userId: string;
  /** Role in the room; `null` for one who is not in it. */
  readonly role: RoomRole | null;
  /** Until when the reader may not write in the room. */
  readonly mutedUntil: Date | null;
  relationTo(userId: string): Relation;
}

/** How the user stands to each of the others, in their order. */
export async function listRelations(app: App, userId: string, others: readonly string[]): Promise<Relation[]> {
  const rows = await app.sql<(Relation & { id: string })[]>`
    select other.id,
      other.id = ${userId} or exists (
        select
        from members as mine
        join members as theirs on theirs.room_id = mine.room_id
        where mine.user_id = ${userId}
          and theirs.user_id = other.id
      ) as shares_room,
      exists (select from blocks where blocker_id = ${userId} and blocked_id = other.id) as has_blocked,
      exists (select from blocks where blocker_id = other.id and blocked_id = ${userId}) as is_blocked_by
    from unnest(${others as string[]}::uuid[]) as other (id)`;
  return others.map((other) => rows.find(({ id }) => id === other) ?? STRANGERS);
}

/** Whether each of the users is in the room, in their order. */
export async function areMembers(app: App, roomId: string, userIds: readonly string[]): Promise<boolean[]> {
  const members = await app.sql<{ userId: string }[]>`
    select user_id
    from members
    where room_id = ${roomId}
      and user_id = any(${userIds as string[]}::uuid[])`;
  const found = new Set(members.map(({ userId }) => userId));
  return userIds.map((id) => found.has(id));
}
