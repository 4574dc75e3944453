/** Changing what was said: edits by the author, deletions that leave a tombstone. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import { limitKey, lockPermitted, type Member } from "../rooms/members.ts";
import { isPermitted, requirePermission } from "../rooms/permissions.ts";
import { notificationNews } from "../users/notifications.ts";
import { deleteReleased } from "../uploads/deletions.ts";
import { appendViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { type Changed, logChange, publishChange } from "./changes.ts";
import { parseContent } from "./drafts.ts";
import { findMentioned, insertMentions, parseMentions, reachesEveryone } from "./mentions.ts";
import { canDelete, isEditWindowOver, type Message, requireMessage } from "./messages.ts";
import { notifyMembers } from "./notices.ts";
import { indexText } from "./search_index.ts";
import { buryMessages } from "./tombstones.ts";

/** Edits the viewer's own message, and notifies those whom it mentions now and did not before. The same content again
 * changes nothing. Throws NOT_FOUND, FORBIDDEN, NOT_EDITABLE, EMPTY, TOO_LONG, INVALID_INPUT, RATE_LIMITED. */
export async function editMessage(
  app: App,
  viewer: Viewer,
  input: { readonly messageId: string | null; readonly content: string },
): Promise<Message> {
  const { message, member } = await requireMessage(app, viewer, input.messageId);
  const content = parseContent(app, input.content, message);
  requireEditable(app, member, message);
  if (message.content === content) return message;
  await app.limits.take("send", limitKey(member));
  const edited = await changeContent(app, member, { message, content });
  if (edited !== null) return edited;
  const now = await requireMessage(app, viewer, input.messageId); // changed meanwhile, which says why, or
  requireEditable(app, now.member, now.message);
  throw notEditable("it has just changed");
}

/** Deletes a message, leaving a tombstone; deleting twice changes nothing. Throws NOT_FOUND, FORBIDDEN. */
export async function deleteMessage(app: App, viewer: Viewer, messageId: string | null): Promise<Message> {
  const { message, member } = await requireMessage(app, viewer, messageId);
  if (message.deletedAt !== null) return message;
  requireDeletable(message, member);
  const deleted = await bury(app, member, message);
  if (message.attachmentCount > 0) deleteReleased(app);
  if (deleted !== null) return deleted;
  const now = await requireMessage(app, viewer, messageId);
  if (now.message.deletedAt === null) requireDeletable(now.message, now.member);
  return now.message;
}

function requireEditable(app: App, member: Member, message: Message): void {
  if (message.deletedAt !== null) throw notEditable("it was deleted");
  if (message.authorId !== member.userId) {
    throw new AppError("FORBIDDEN", "Cannot edit the message: it is not yours", { path: ["messageId"] });
  }
  requirePermission(member, "SEND_MESSAGES", "messageId");
  if (isEditWindowOver(message, app)) throw notEditable("it is too old");
}

function notEditable(state: string): AppError {
  return new AppError("NOT_EDITABLE", `Cannot edit the message: ${state}`, { path: ["messageId"] });
}

function requireDeletable(message: Message, member: Member): void {
  if (canDelete(message, member)) return;
  throw new AppError("FORBIDDEN", "Cannot delete the message: it is not yours", { path: ["messageId"] });
}

/** `null` where the message can't be edited any more. */
async function changeContent(
  app: App,
  member: Member,
  { message: { id }, content }: { readonly message: Message; readonly content: string },
): Promise<Message | null> {
  const { sql } = app;
  const mentions = parseMentions(content);
  const seconds = app.config.messageEditWindowSeconds;
  const reasons = [
    sql`select user_id, 'MENTION' as kind from mention`,
    sql`
      select members.user_id, 'MENTION' as kind
      from message
      join target on target.id = message.id
      join members on members.room_id = message.room_id
      where message.mentions_everyone
        and not target.mentions_everyone`,
  ];
  const [changed] = await retryDeadlock(() =>
    sql<Changed[]>`
    with member as (${lockPermitted(app, member, { permission: "SEND_MESSAGES" })}
    ), target as (
      select messages.id, messages.mentions_everyone
      from messages
      join member on member.room_id = messages.room_id
      where messages.id = ${id}
        and messages.author_id = member.user_id
        and messages.deleted_at is null
        and (${content !== ""} or messages.attachment_count > 0)
        and ${seconds === null ? sql`true` : sql`messages.created_at > now() - make_interval(secs => ${seconds})`}
      for no key update of messages
    ), ${logChange(app, member, { kind: "MESSAGE_EDITED" })}, ${findMentioned(app, member, mentions)}, message as (
      update messages
      set content = ${content},
        edited_at = now(),
        mentions_everyone = ${reachesEveryone(app, member, mentions)}
      from target
      where messages.id = target.id
      returning messages.*, drop_mentions(messages.id, array(select user_id from mentioned))
    ), ${indexText(app, content)}, ${insertMentions(app)}, ${
      notifyMembers(app, member, { messageId: id, reasons })
    }, news as (
      ${notificationNews(app)}
    ), ${appendViewerEvents(app)}
    select message.*, event.seq as event_seq, event.created_at as event_at, ${toldUsers(app)}
    from message, event`
  );
  return publishChange(app, member, { kind: "MESSAGE_EDITED", changed });
}

/** Makes a tombstone of the message, if the condition on `messages` holds. `null` where it does not, the message was deleted
 * meanwhile, or the member has not the right any more. */
export async function bury(
  app: App,
  member: Member,
  { id }: Message,
  provided: Fragment = app.sql`true`,
): Promise<Message | null> {
  const { sql } = app;
  const [changed] = await retryDeadlock(() =>
    sql<Changed[]>`
    with member as (${lockPermitted(app, member, { permission: "READ" })}
    ), target as (
      select messages.id
      from messages
      join member on member.room_id = messages.room_id
      where messages.id = ${id}
        and (messages.author_id = member.user_id or ${isPermitted(sql, member.roomKind, "MANAGE_MESSAGES")})
        and messages.deleted_at is null
        and ${provided}
      for no key update of messages
    ), ${buryMessages(app)}, ${
      logChange(app, member, {
        kind: "MESSAGE_DELETED",
        provided: sql`(select count(*) from message) > 0`, // so that its files are locked before the room
      })
    }
    select message.*, event.seq as event_seq, event.created_at as event_at
    from message, event`
  );
  return publishChange(app, member, { kind: "MESSAGE_DELETED", changed });
}
