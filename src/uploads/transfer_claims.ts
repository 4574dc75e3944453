/** How a file that was announced becomes an attachment, or nothing: each one statement. */
import type { App } from "../app.ts";
import { retryDeadlock } from "../platform/sql.ts";
import { lockPermitted, type Member } from "../rooms/members.ts";
import { deleteUnused } from "./deletions.ts";
import { statusOf } from "./files.ts";
import { queueImage } from "./image_jobs.ts";
import type { Inspection } from "./inspection.ts";

/** A request that sends a file. */
export interface Claim {
  readonly attachmentId: string;
  readonly fileId: string;
  /** In `files.transfer_id`, until another request takes over. */
  readonly transferId: string;
}

/** Accepts what has come, if the member may still attach files and no other request has taken over: else false. */
export async function acceptTransfer(
  app: App,
  member: Member,
  { claim, inspection }: { readonly claim: Claim; readonly inspection: Inspection },
): Promise<boolean> {
  const { mediaKind, mediaType, sha256 } = inspection;
  // Attachment before file, as in every statement that deletes an attachment.
  const [accepted] = await retryDeadlock(() =>
    app.sql`
    with member as (${lockPermitted(app, member, { permission: "ATTACH_FILES" })}
    ), attachment as (
      update attachments
      set media_kind = ${mediaKind}
      from member
      where attachments.id = ${claim.attachmentId}
        and attachments.room_id = member.room_id
      returning attachments.file_id
    )
    update files
    set status = ${statusOf(mediaKind)},
      media_type = ${mediaType},
      sha256 = ${sha256},
      progress = null,
      unused_since = null,
      created_at = now()
    from attachment
    where files.id = attachment.file_id
      and files.status = 'INCOMING'
      and files.transfer_id = ${claim.transferId}
    returning files.id`
  );
  if (accepted && mediaKind === "IMAGE") await queueImage(app, claim.fileId);
  return accepted !== undefined;
}

/** Deletes the attachment and all that is stored of it, unless another request has taken over. */
export async function discardTransfer(app: App, { attachmentId, fileId, transferId }: Claim): Promise<void> {
  const { count } = await retryDeadlock(() =>
    app.sql`
    delete from attachments
    using files
    where attachments.id = ${attachmentId}
      and files.id = attachments.file_id
      and files.status = 'INCOMING'
      and files.transfer_id = ${transferId}`
  );
  if (count > 0) app.background(deleteUnused(app, [fileId]));
}
