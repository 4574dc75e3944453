/** Changing what was said: edits by the author, deletions that leave a tombstone. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { lockMember, type Member, requireMember } from "../rooms/members.ts";
import { canDelete, canEdit, listVisibleMessages, type Message } from "./messages.ts";
import { parseContent } from "./send.ts";

/** Edits the viewer's own message. The same content again changes nothing.
 * Throws NOT_FOUND, FORBIDDEN, NOT_EDITABLE, EMPTY, TOO_LONG, INVALID_INPUT, RATE_LIMITED. */
export async function editMessage(
  app: App,
  viewer: Viewer,
  input: { readonly messageId: string | null; readonly content: string },
): Promise<Message> {
  const { message, member } = await requireMessage(app, viewer, input.messageId);
  const content = parseContent(app, input.content);
  if (message.deletedAt !== null) throw notEditable();
  if (!canEdit(message, member)) {
    throw new AppError("FORBIDDEN", "Cannot edit the message: it is not yours", { path: ["messageId"] });
  }
  if (message.content === content) return message;
  await app.limits.take("send", `${member.userId}:${member.roomId}`);
  const edited = await changeMessage(app, member, { message, content });
  if (edited !== null) return edited;
  await requireMessage(app, viewer, input.messageId); // removed from the room meanwhile, or
  throw notEditable();
}

/** Deletes a message, leaving a tombstone; deleting twice changes nothing. Throws NOT_FOUND, FORBIDDEN. */
export async function deleteMessage(app: App, viewer: Viewer, messageId: string | null): Promise<Message> {
  const { message, member } = await requireMessage(app, viewer, messageId);
  if (message.deletedAt !== null) return message;
  if (!canDelete(message, member)) {
    throw new AppError("FORBIDDEN", "Cannot delete the message: it is not yours", { path: ["messageId"] });
  }
  const deleted = await changeMessage(app, member, { message, content: null });
  return deleted ?? (await requireMessage(app, viewer, messageId)).message;
}

async function requireMessage(
  app: App,
  viewer: Viewer,
  messageId: string | null,
): Promise<{ message: Message; member: Member }> {
  const [message] = messageId === null ? [] : await listVisibleMessages(app, viewer, [messageId]);
  if (message === undefined) {
    throw new AppError("NOT_FOUND", "Cannot find the message: there is none with this id that you may see", {
      path: ["messageId"],
    });
  }
  return { message, member: await requireMember(app, viewer, message.roomId) };
}

function notEditable(): AppError {
  return new AppError("NOT_EDITABLE", "Cannot edit the message: it was deleted", { path: ["messageId"] });
}

/** Sets the content (`null` deletes) and logs it; `null` where the message was deleted meanwhile or the member removed. */
async function changeMessage(
  app: App,
  member: Member,
  { message, content }: { readonly message: Message; readonly content: string | null },
): Promise<Message | null> {
  const kind = content === null ? "MESSAGE_DELETED" : "MESSAGE_EDITED";
  const [changed] = await app.sql<(Message & { eventSeq: number; eventAt: Date })[]>`
    with member as (${lockMember(app, member)}
    ), target as (
      select messages.id
      from messages
      join member on member.room_id = messages.room_id
      where messages.id = ${message.id}
        and messages.deleted_at is null
      for update of messages
    ), room as (
      update rooms
      set ${takeSeq(app)}
      from target
      where rooms.id = ${member.roomId}
      returning rooms.last_seq
    ), event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id)
      select ${member.roomId}, last_seq, ${kind}, ${member.userId}, target.id from room, target
      returning seq, created_at
    ), message as (
      update messages
      set content = ${content},
        edited_at = ${content === null ? app.sql`edited_at` : app.sql`now()`},
        deleted_at = ${content === null ? app.sql`now()` : app.sql`null`}
      from target
      where messages.id = target.id
      returning messages.*
    )
    select message.*, event.seq as event_seq, event.created_at as event_at
    from message, event`;
  if (changed === undefined) return null;
  const event: RoomEvent = {
    roomId: changed.roomId,
    seq: changed.eventSeq,
    kind,
    actorId: member.userId,
    subjectId: changed.id,
    data: null,
    createdAt: changed.eventAt,
  };
  publishRoomEvent(app, event);
  return changed;
}
