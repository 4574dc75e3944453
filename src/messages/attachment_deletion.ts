/** Deleting a file that one has uploaded, from the message that it is on. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { retryDeadlock } from "../platform/sql.ts";
import { lockPermitted, requireMember } from "../rooms/members.ts";
import { listVisibleAttachments, noSuchAttachment } from "../uploads/attachments.ts";
import { deleteReleased } from "../uploads/deletions.ts";
import { type Changed, logChange, publishChange } from "./changes.ts";
import { bury } from "./edit.ts";
import { type Message, requireMessage } from "./messages.ts";

/** Statements that may find that the message has just changed, before it is given up. */
const TRIES = 5;

/** Deletes the viewer's file and returns the message that it was on, which counts as edited; one that has nothing else becomes
 * a tombstone. Throws NOT_FOUND, FORBIDDEN. */
export async function deleteAttachment(app: App, viewer: Viewer, attachmentId: string | null): Promise<Message | null> {
  for (let tries = 0; tries < TRIES; tries++) {
    const deleted = await deleteUnsent(app, viewer, attachmentId) ? null : await takeOff(app, viewer, attachmentId);
    if (deleted === "CHANGED") continue;
    deleteReleased(app);
    return deleted;
  }
  throw new AppError("UNAVAILABLE", "Cannot delete the file: its message keeps changing, try again", {
    retryAfterMs: 1_000,
  });
}

/** Also what was only announced, and what was uploaded to a room that the viewer has left since. */
async function deleteUnsent({ sql }: App, { userId }: Viewer, attachmentId: string | null): Promise<boolean> {
  const { count } = await sql`
    delete from attachments
    where id = ${attachmentId}
      and uploader_id = ${userId}
      and message_id is null`;
  return count > 0;
}

async function takeOff(app: App, viewer: Viewer, attachmentId: string | null): Promise<Message | "CHANGED"> {
  const { id, messageId } = await requireSent(app, viewer, attachmentId);
  const { message, member } = await requireMessage(app, viewer, messageId);
  const { sql } = app;
  if (message.content === "" && message.attachmentCount === 1) {
    const isLast = sql`(messages.content = '' and messages.attachment_count = 1)`;
    return await bury(app, member, message, isLast) ?? "CHANGED";
  }
  const [changed] = await retryDeadlock(() =>
    sql<Changed[]>`
    with member as (${lockPermitted(app, member, { permission: "READ" })}
    ), target as (
      select messages.id
      from messages
      join member on member.room_id = messages.room_id
      where messages.id = ${messageId}
        and (messages.content <> '' or messages.attachment_count > 1)
      for no key update of messages
    ), attachment as (
      delete from attachments
      using target
      where attachments.id = ${id}
        and attachments.message_id = target.id
      returning attachments.id
    ), ${
      logChange(app, member, { kind: "MESSAGE_EDITED", provided: sql`exists (select from attachment)` })
    }, message as (
      update messages
      set attachment_count = attachment_count - 1,
        edited_at = now()
      from target, attachment
      where messages.id = target.id
      returning messages.*
    )
    select message.*, event.seq as event_seq, event.created_at as event_at
    from message, event`
  );
  if (changed === undefined) await requireMember(app, viewer, member.roomId);
  return publishChange(app, member, { kind: "MESSAGE_EDITED", changed }) ?? "CHANGED";
}

/** Throws NOT_FOUND, FORBIDDEN. */
async function requireSent(
  app: App,
  viewer: Viewer,
  attachmentId: string | null,
): Promise<{ readonly id: string; readonly messageId: string | null }> {
  const [attachment] = attachmentId === null ? [] : await listVisibleAttachments(app, viewer, [attachmentId]);
  if (attachment === undefined) throw noSuchAttachment();
  if (attachment.uploaderId === viewer.userId) return attachment;
  throw new AppError("FORBIDDEN", "Cannot delete the file: it is not yours", { path: ["attachmentId"] });
}
