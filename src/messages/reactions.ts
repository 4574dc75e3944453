/** Reactions: each person gives an emoji to a message once. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { findEmoji } from "../lib/emoji.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { readPage } from "../platform/keyset.ts";
import { isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { limitKey, lockMember, lockPermitted, type Member } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { notificationNews } from "../users/notifications.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { requireMessage } from "./messages.ts";
import { notifyMembers } from "./notices.ts";

/** Different emoji on one message: more is a wall of buttons. */
const EMOJI_PER_MESSAGE_MAX = 20;

export interface ReactionInput {
  readonly messageId: string | null;
  readonly emoji: string;
}

/** Adds a reaction and returns the id of the message; adding it twice changes nothing. Throws NOT_FOUND, INVALID_INPUT,
 * FORBIDDEN, NOT_EDITABLE, TOO_LONG, RATE_LIMITED. */
export async function addReaction(app: App, viewer: Viewer, input: ReactionInput): Promise<string> {
  const { message: { id }, member } = await requireMessage(app, viewer, input.messageId);
  const emoji = parseEmoji(input.emoji);
  await app.limits.take("react", limitKey(member));
  if (!await insertReaction(app, member, { messageId: id, emoji })) {
    await explainUnchanged(app, viewer, { messageId: id, emoji });
  }
  return id;
}

/** Takes the viewer's reaction back and returns the id of the message; nothing happens where there is none. Throws NOT_FOUND,
 * INVALID_INPUT, RATE_LIMITED. */
export async function removeReaction(app: App, viewer: Viewer, input: ReactionInput): Promise<string> {
  const { message: { id }, member } = await requireMessage(app, viewer, input.messageId);
  const emoji = parseEmoji(input.emoji);
  await app.limits.take("react", limitKey(member));
  await deleteReaction(app, member, { messageId: id, emoji });
  return id;
}

function parseEmoji(text: string): string {
  const emoji = findEmoji(text);
  if (emoji === null) {
    throw new AppError("INVALID_INPUT", "Cannot use `emoji`: it takes exactly one emoji", { path: ["emoji"] });
  }
  return emoji;
}

interface Reaction {
  readonly messageId: string;
  readonly emoji: string;
}

/** False where nothing was changed. */
async function insertReaction(app: App, member: Member, { messageId, emoji }: Reaction): Promise<boolean> {
  const { sql } = app;
  const reasons = [sql`select target.author_id as user_id, 'REACTION' as kind from target, event`];
  try {
    const [event] = await retryDeadlock(() =>
      sql<(RoomEvent & { told: string[] })[]>`
      with member as (${lockPermitted(app, member, { permission: "SEND_MESSAGES" })}
      ), target as (
        select messages.id, messages.author_id
        from messages
        join member on member.room_id = messages.room_id
        where messages.id = ${messageId}
          and messages.deleted_at is null
        for no key update of messages
      ), room as (
        update rooms
        set ${takeSeq(app)}
        from target
        where rooms.id = ${member.roomId}
          and count_other_emoji(target.id, ${emoji}) < ${EMOJI_PER_MESSAGE_MAX}
          and not exists (
            select from reactions where message_id = target.id and emoji = ${emoji} and user_id = ${member.userId}
          )
        returning rooms.id, rooms.last_seq
      ), reaction as (
        insert into reactions (message_id, emoji, user_id, seq)
        select target.id, ${emoji}, ${member.userId}, last_seq from room, target
      ), event as (
        insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
        select room.id, last_seq, 'REACTION_ADDED', ${member.userId}, target.id, ${
        sql.json({ emoji })
      } from room, target
        returning *
      ), ${notifyMembers(app, member, { messageId, reasons })}, news as (
        ${notificationNews(app)}
      ), ${appendViewerEvents(app)}
      select event.*, ${toldUsers(app)} from event`
    );
    if (event === undefined) return false;
    const { told, ...logged } = event;
    publishRoomEvent(app, logged);
    publishViewerEvents(app, told);
    return true;
  } catch (error) {
    // Added twice at once: the whole statement was undone, so it burns no number of the log.
    if (isViolationOf(error, "reactions_pkey")) return false;
    throw error;
  }
}

/** Throws what was against it, unless the reaction is there. */
async function explainUnchanged(app: App, viewer: Viewer, { messageId, emoji }: Reaction): Promise<void> {
  const { message, member } = await requireMessage(app, viewer, messageId);
  requirePermission(member, "SEND_MESSAGES", "messageId");
  if (message.deletedAt !== null) {
    throw new AppError("NOT_EDITABLE", "Cannot react to the message: it was deleted", { path: ["messageId"] });
  }
  const [existing] = await app.sql`
    select
    from reactions
    where message_id = ${messageId}
      and emoji = ${emoji}
      and user_id = ${member.userId}`;
  if (existing) return;
  throw new AppError("TOO_LONG", `Cannot react to the message: the limit is ${EMOJI_PER_MESSAGE_MAX} different emoji`, {
    path: ["emoji"],
    limit: EMOJI_PER_MESSAGE_MAX,
  });
}

async function deleteReaction(app: App, member: Member, { messageId, emoji }: Reaction): Promise<void> {
  const [event] = await app.sql<RoomEvent[]>`
    with member as (${lockMember(app, member)}
    ), target as (
      select messages.id
      from messages
      join member on member.room_id = messages.room_id
      where messages.id = ${messageId}
      for no key update of messages
    ), reaction as (
      delete from reactions
      using target
      where message_id = target.id
        and emoji = ${emoji}
        and user_id = ${member.userId}
      returning message_id
    ), room as (
      update rooms
      set ${takeSeq(app)}
      from reaction
      where rooms.id = ${member.roomId}
      returning rooms.id, rooms.last_seq
    )
    insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
    select room.id, last_seq, 'REACTION_REMOVED', ${member.userId}, message_id, ${
    app.sql.json({ emoji })
  } from room, reaction
    returning *`;
  if (event) publishRoomEvent(app, event);
}

/** The ids of those who reacted, oldest first. Throws BAD_USER_INPUT. */
export async function pageReactors(
  app: App,
  { messageId, emoji }: Reaction,
  page: Page,
): Promise<Connection<string>> {
  const { edges, pageInfo } = await readPage<{ readonly userId: string; readonly seq: number }>(app.sql, {
    name: "reactionGroup.users",
    rows: app.sql`select user_id, seq from reactions where message_id = ${messageId} and emoji = ${emoji}`,
    key: [["seq", "bigint"]],
    keyOf: ({ seq }) => [seq],
  }, page);
  return { edges: edges.map(({ cursor, node }) => ({ cursor, node: node.userId })), pageInfo };
}
