/** Uploading to a room: files that came with the request, or that are announced to come by themselves. Every file counts for
 * the quota of who uploads it. */
import type { App } from "../app.ts";
import { ATTACHMENTS_PER_MESSAGE_MAX } from "../config.ts";
import { AppError, isRefusal } from "../errors.ts";
import { cleanFilename } from "../lib/filenames.ts";
import { newId } from "../lib/ids.ts";
import type { Fragment } from "../platform/sql.ts";
import { lockPermitted, type Member, requireMember } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { UNSENT_HOURS_MAX } from "./deletions.ts";
import { queueImage } from "./image_jobs.ts";
import type { Inspection } from "./inspection.ts";
import { uploadUrl } from "./links.ts";
import { fileTooLarge, type IncomingFile } from "./receiving.ts";
import { chargeQuota, explainUntaken, lockIncoming, quotaExceeded, takeIncoming } from "./taking.ts";

export interface Uploaded {
  /** Ids of those that were taken, in order. */
  readonly attachmentIds: readonly string[];
  /** Why the others were not, with their `path`. */
  readonly failures: readonly AppError[];
}

/** Makes attachments of the files that are acceptable. Throws FORBIDDEN, EMPTY, TOO_LONG; of single files
 * FILE_TOO_LARGE, EMPTY, UNSUPPORTED_MEDIA_TYPE, INVALID_INPUT, QUOTA_EXCEEDED. */
export async function uploadAttachments(
  app: App,
  member: Member,
  files: readonly IncomingFile[],
): Promise<Uploaded> {
  requirePermission(member, "ATTACH_FILES", "roomId");
  requireCount(files.length);
  const attachmentIds: string[] = [];
  const failures: AppError[] = [];
  for (const [index, file] of files.entries()) {
    try {
      attachmentIds.push(await takeFile(app, member, file));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      failures.push(new AppError(error.code, error.message, { ...error.details, path: ["files", String(index)] }));
    }
  }
  return { attachmentIds, failures };
}

/** A file that is announced: where its bytes are to go, and until when. */
export interface AnnouncedFile {
  readonly attachmentId: string;
  readonly url: string;
  readonly expiresAt: Date;
}

/** Announces a file, which counts for the quota from now on. It is an attachment once all of its bytes have come to `url`.
 * Throws FORBIDDEN, NOT_A_MEMBER, INVALID_INPUT, FILE_TOO_LARGE, QUOTA_EXCEEDED, RATE_LIMITED. */
export async function createUpload(
  app: App,
  member: Member,
  { filename, byteSize }: { readonly filename: string; readonly byteSize: number },
): Promise<AnnouncedFile> {
  requirePermission(member, "ATTACH_FILES", "roomId");
  if (byteSize <= 0) {
    throw new AppError("INVALID_INPUT", "Cannot upload the file: it takes at least one byte", { path: ["byteSize"] });
  }
  const { sql, config } = app;
  if (byteSize > config.maxUploadBytes) throw fileTooLarge(config.maxUploadBytes, ["byteSize"]);
  await app.limits.take("upload", member.userId);
  const fileId = crypto.randomUUID();
  const file = sql`
    insert into files (id, owner_id, purpose, byte_size, unused_since)
    select ${fileId}, id, 'ATTACHMENT', ${byteSize}, null
    from charged
    returning id`;
  const attachmentId = await insertAttachment(app, member, { file, byteSize, filename, mediaKind: "OTHER" });
  const expiresAt = new Date(Date.now() + UNSENT_HOURS_MAX * 3_600_000);
  return { attachmentId, expiresAt, url: uploadUrl(app, member.userId, attachmentId, expiresAt) };
}

function requireCount(count: number): void {
  if (count === 0) throw new AppError("EMPTY", "Cannot upload: there is no file", { path: ["files"] });
  if (count <= ATTACHMENTS_PER_MESSAGE_MAX) return;
  const limit = ATTACHMENTS_PER_MESSAGE_MAX;
  throw new AppError("TOO_LONG", `Cannot upload the files: there are ${count}, the limit is ${limit}`, {
    path: ["files"],
    limit,
  });
}

async function takeFile(app: App, member: Member, incomingFile: IncomingFile): Promise<string> {
  const { fileId, filename, outcome } = incomingFile;
  if (outcome instanceof AppError) throw outcome;
  const { byteSize, mediaKind } = outcome;
  const incoming = lockIncoming(app, member.userId, fileId);
  const file = takeIncoming(app, "ATTACHMENT", outcome);
  const attachmentId = await insertAttachment(app, member, { incoming, file, byteSize, filename, mediaKind });
  incomingFile.isTaken = true;
  // In the background: an image whose job gets lost is found by its status.
  if (mediaKind === "IMAGE") app.background(queueImage(app, fileId));
  return attachmentId;
}

interface NewAttachment {
  /** Select of the file that has come in (`lockIncoming`); left out of one that is only announced. */
  readonly incoming?: Fragment;
  /** Statement that makes a row of `files` for the part `charged`, and returns its `id`. */
  readonly file: Fragment;
  /** What it counts for the quota. */
  readonly byteSize: number;
  readonly filename: string;
  readonly mediaKind: Inspection["mediaKind"];
}

/** Throws QUOTA_EXCEEDED, NOT_A_MEMBER, NOT_FOUND, FORBIDDEN. */
async function insertAttachment(
  app: App,
  member: Member,
  { incoming, file, byteSize, filename, mediaKind }: NewAttachment,
): Promise<string> {
  const { sql } = app;
  const provided = sql`exists (select from incoming)`;
  const [attachment] = await sql<{ id: string }[]>`
    with incoming as (${incoming ?? sql`select`}
    ), actor as (${lockPermitted(app, member, { permission: "ATTACH_FILES", provided })}
    ), charged as (${chargeQuota(app, byteSize)}
    ), file as (${file}
    )
    insert into attachments (id, file_id, room_id, uploader_id, filename, media_kind)
    select ${newId()}, file.id, ${member.roomId}, ${member.userId}, ${cleanFilename(filename)}, ${mediaKind}
    from file
    returning id`;
  if (attachment !== undefined) return attachment.id;
  requirePermission(await requireMember(app, member, member.roomId), "ATTACH_FILES", "roomId");
  throw incoming ? await explainUntaken(app, incoming) : quotaExceeded(app);
}
