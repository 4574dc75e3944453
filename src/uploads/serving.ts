/** What may be served to whom. A link only says who asks: whether the viewer may see the file is asked of the database each
 * time. Images leave as they were made anew, never as they came. */
import { Buffer } from "node:buffer";
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { type FileStatus, type ImageSize, type MediaKind, renditionKey, type Renditions, uploadKey } from "./files.ts";
import { type FileLink, pictureSize } from "./links.ts";

/** One stored form of a file, that may be sent. */
export interface Served {
  readonly key: string;
  readonly mediaType: string;
  readonly byteSize: number;
  /** In hex. */
  readonly sha256: string;
  /** Whether a browser may show it by itself, or only keep it. */
  readonly disposition: "inline" | "attachment";
  readonly filename: string;
}

/** Milliseconds after which an image may have been processed. */
const PROCESSING_RETRY_MS = 1000;

/** What a browser may be told of the type: nothing that it runs. */
const SAFE_TYPES =
  /^(audio|video)\/[\w.+-]+$|^text\/plain$|^application\/(pdf|zip|gzip|x-7z-compressed|x-tar|x-bzip2|x-xz)$/;

interface FileRow {
  readonly fileId: string;
  readonly filename: string;
  readonly mediaKind: MediaKind;
  readonly status: FileStatus;
  readonly mediaType: string;
  readonly byteSize: number;
  readonly sha256: Uint8Array;
  readonly renditions: Renditions | null;
}

/** What the link's viewer may see of it: as a member of the room now, of a message that is there, or of one's own that is not
 * sent yet. Throws NOT_FOUND; UNAVAILABLE while an image is processed. */
export async function findServed(
  app: App,
  { attachmentId, viewerId, size }: Omit<FileLink, "expires">,
): Promise<Served> {
  const [row] = await app.sql<FileRow[]>`
    select files.id as file_id, attachments.filename, attachments.media_kind,
      files.status, files.media_type, files.byte_size, files.sha256, files.renditions
    from attachments
    join files on files.id = attachments.file_id
    join members on members.room_id = attachments.room_id and members.user_id = ${viewerId}
    join users on users.id = members.user_id
    left join messages on messages.id = attachments.message_id
    where attachments.id = ${attachmentId}
      and files.status in ('PROCESSING', 'READY', 'FAILED')
      and users.suspended_at is null
      and users.deleted_at is null
      and case
        when attachments.message_id is null then attachments.uploader_id = members.user_id
        else messages.deleted_at is null
      end`;
  if (row === undefined) throw noSuchFile();
  if (row.status === "PROCESSING") {
    const state = "it is being processed";
    throw new AppError("UNAVAILABLE", `Cannot show the file yet: ${state}`, { retryAfterMs: PROCESSING_RETRY_MS });
  }
  const served = row.status === "READY" && row.mediaKind === "IMAGE" ? ofImage(row, size) : ofUpload(row, size);
  if (served === null) throw noSuchFile();
  return served;
}

/** The avatar or icon: for everybody who knows its id, as long as somebody uses it. Throws NOT_FOUND. */
export async function findPicture(
  app: App,
  { fileId, size }: { readonly fileId: string; readonly size: ImageSize },
): Promise<Served> {
  const [row] = await app.sql<Pick<FileRow, "fileId" | "renditions">[]>`
    select id as file_id, renditions
    from files
    where id = ${fileId}
      and purpose = 'PICTURE'
      and status = 'READY'
      and unused_since is null`;
  const served = row && ofImage({ ...row, filename: "picture" }, pictureSize(size));
  if (!served) throw noSuchFile();
  return served;
}

function ofImage(
  { fileId, filename, renditions }: Pick<FileRow, "fileId" | "filename" | "renditions">,
  size: ImageSize,
): Served | null {
  const rendition = renditions?.[size];
  if (rendition === undefined) return null;
  const { mediaType } = rendition;
  // Saved under the name of another format, it would not open.
  const name = mediaType === "image/webp" ? `${filename.replace(/\.\w{1,5}$/, "")}.webp` : filename;
  return { ...rendition, key: renditionKey(fileId, size), disposition: "inline", filename: name };
}

function ofUpload({ fileId, filename, mediaType, byteSize, sha256 }: FileRow, size: ImageSize): Served | null {
  if (size !== "ORIGINAL") return null;
  return {
    key: uploadKey(fileId),
    mediaType: SAFE_TYPES.test(mediaType) ? mediaType : "application/octet-stream",
    byteSize,
    sha256: Buffer.from(sha256).toString("hex"),
    disposition: "attachment",
    filename,
  };
}

function noSuchFile(): AppError {
  return new AppError("NOT_FOUND", "Cannot find the file: there is none at this link that you may see");
}
