/** Bans that clean up: the person goes at once, what they wrote of late follows in batches. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { retryDeadlock } from "../platform/sql.ts";
import { type BanInput, type Banned, banUser } from "../rooms/bans.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { lockPermitted, type Member } from "../rooms/members.ts";
import { deleteReleased } from "../uploads/deletions.ts";
import { buryMessages } from "./tombstones.ts";

/** A week. */
const DELETE_HOURS_MAX = 168;
/** Messages of one statement, so that it holds the room for a moment only. */
const BATCH_MAX = 500;

export interface CleaningBanInput extends BanInput {
  /** Whose messages of so many last hours are deleted. */
  readonly deleteMessagesHours: number;
}

/** Bans a user and deletes their messages of the last hours. When the server dies in between, banning again goes on.
 * Throws as `banUser`. */
export async function banMember(app: App, member: Member, input: CleaningBanInput): Promise<Banned> {
  const hours = input.deleteMessagesHours;
  if (hours < 0 || hours > DELETE_HOURS_MAX) {
    throw new AppError("INVALID_INPUT", `Cannot delete the messages: it takes 0 to ${DELETE_HOURS_MAX} hours`, {
      path: ["deleteMessagesHours"],
      limit: DELETE_HOURS_MAX,
    });
  }
  const banned = await banUser(app, member, input);
  if (hours > 0) await deleteMessagesOf(app, member, { userId: banned.ban.userId, hours });
  deleteReleased(app);
  return banned;
}

/** Deletes what the user wrote in the member's room in the last hours, as `deleteMessage` does each. Stops where the member
 * may not do it any more. */
async function deleteMessagesOf(
  app: App,
  member: Member,
  { userId, hours }: { readonly userId: string; readonly hours: number },
): Promise<void> {
  const since = new Date(Date.now() - hours * 3_600_000);
  while (true) {
    const events = await retryDeadlock(() =>
      app.sql<RoomEvent[]>`
      with member as (${lockPermitted(app, member, { permission: "MANAGE_MESSAGES" })}
      ), target as (
        select messages.id, messages.seq
        from messages
        join member on member.room_id = messages.room_id
        where messages.author_id = ${userId}
          and messages.created_at >= ${since}
          and messages.deleted_at is null
        order by messages.seq
        limit ${BATCH_MAX}
        for no key update of messages
      ), ${buryMessages(app)}, room as (
        update rooms
        set ${takeSeq(app, app.sql`(select count(*) from target)`)}
        where id = ${member.roomId}
          and (select count(*) from message) > 0 -- so that their files are locked before the room
        returning last_seq
      )
      insert into room_events (room_id, seq, kind, actor_id, subject_id)
      select ${member.roomId}, last_seq + 1 - row_number() over (order by target.seq desc), 'MESSAGE_DELETED',
        ${member.userId}::uuid, target.id
      from target
      cross join room
      order by target.seq
      returning *`
    );
    for (const event of events.toSorted((one, other) => one.seq - other.seq)) publishRoomEvent(app, event);
    if (events.length === 0) return;
  }
}
