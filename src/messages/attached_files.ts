/** Files on messages: taken by the statement that sends or schedules them, so that each is used once. */
import type { App } from "../app.ts";
import type { AppError } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";
import type { Member } from "../rooms/members.ts";
import { noSuchAttachment } from "../uploads/attachments.ts";

/** The files that a message is to have, in order. */
export interface WantedFiles {
  readonly attachmentIds: readonly string[];
  /** The scheduled message that holds them by now; `null`: none may. */
  readonly scheduledMessageId: string | null;
}

/** Select of `id, position` of the files that the member may put on a message of this room, locked: those that are missing in it
 * are not the member's, not of this room, on a message already, or not there yet. */
export function lockUnsent({ sql }: App, member: Member, wanted: WantedFiles): Fragment {
  const { attachmentIds, scheduledMessageId } = wanted;
  return sql`
      select attachments.id, place.position
      from unnest(${attachmentIds as string[]}::uuid[]) with ordinality as place (id, position)
      join attachments on attachments.id = place.id
      join files on files.id = attachments.file_id
      where attachments.room_id = ${member.roomId}
        and attachments.uploader_id = ${member.userId}
        and attachments.message_id is null
        and (attachments.scheduled_message_id is null or attachments.scheduled_message_id = ${scheduledMessageId})
        and files.status <> 'INCOMING'
      order by attachments.id
      for update of attachments`;
}

/** Update that puts the files of the part `attachment` on the one of the part `message`. */
export function attachFiles({ sql }: App): Fragment {
  return sql`
      update attachments
      set message_id = message.id,
        seq = message.seq,
        position = attachment.position
      from attachment, message
      where attachments.id = attachment.id`;
}

/** Why not all of the files can be had; `null` where they can. */
export async function findMissingFile(app: App, member: Member, wanted: WantedFiles): Promise<AppError | null> {
  if (wanted.attachmentIds.length === 0) return null;
  const found = await app.sql<{ id: string }[]>`${lockUnsent(app, member, wanted)}`;
  const index = wanted.attachmentIds.findIndex((wantedId) => !found.some(({ id }) => id === wantedId));
  return index < 0 ? null : noSuchAttachment(["attachmentIds", String(index)]);
}

/** Update that keeps the files of the part `attachment` for the one of the part `scheduled`. */
export function holdFiles({ sql }: App): Fragment {
  return sql`
      update attachments
      set scheduled_message_id = scheduled.id,
        position = attachment.position
      from attachment, scheduled
      where attachments.id = attachment.id`;
}

/** Update that gives the files of those of the part `scheduled` back that were canceled. */
export function releaseFiles({ sql }: App): Fragment {
  return sql`
      update attachments
      set scheduled_message_id = null,
        unsent_since = now()
      from scheduled
      where attachments.scheduled_message_id = scheduled.id
        and attachments.message_id is null
        and scheduled.status = 'CANCELED'`;
}
