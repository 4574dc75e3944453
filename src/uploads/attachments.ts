/** Attachments: files that people share in a room. Until it is sent with a message, only its uploader sees one. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { type Keyset, readPage } from "../platform/keyset.ts";
import type { Fragment } from "../platform/sql.ts";
import type { RoomEvent } from "../rooms/events.ts";
import type { Member } from "../rooms/members.ts";
import type { MediaKind, StoredFile } from "./files.ts";

export type AttachmentStatus = "PROCESSING" | "READY" | "FAILED";

export interface Attachment extends Pick<StoredFile, "byteSize" | "width" | "height" | "thumbhash"> {
  readonly id: string;
  readonly fileId: string;
  readonly roomId: string;
  readonly uploaderId: string;
  /** `null` until it is sent. */
  readonly messageId: string | null;
  /** Seq of the message; `null` until it is sent. */
  readonly seq: number | null;
  /** In the message, from 1. */
  readonly position: number;
  readonly scheduledMessageId: string | null;
  readonly filename: string;
  readonly mediaKind: MediaKind;
  readonly mediaType: string;
  readonly status: AttachmentStatus;
  readonly createdAt: Date;
}

export function noSuchAttachment(path: readonly string[] = ["attachmentId"]): AppError {
  return new AppError("NOT_FOUND", "Cannot find the file: there is none with this id that you may use here", { path });
}

/** Rows of an `Attachment`: what has come in whole, and is not being deleted. Add to its conditions. */
function selectAttachments({ sql }: App): Fragment {
  return sql`
    select attachments.*, files.byte_size, files.media_type, files.status, files.width, files.height, files.thumbhash
    from attachments
    join files on files.id = attachments.file_id
    where files.status in ('PROCESSING', 'READY', 'FAILED')`;
}

/** The attachments with these ids, seen from inside their room. */
export async function listAttachments(app: App, ids: readonly string[]): Promise<Attachment[]> {
  return await app.sql<Attachment[]>`
    ${selectAttachments(app)}
      and attachments.id = any(${ids as string[]}::uuid[])`;
}

/** Those of the attachments that the viewer may see: in rooms that the viewer is in, sent ones and the viewer's own. */
export async function listVisibleAttachments(
  app: App,
  viewer: Pick<Viewer, "userId">,
  ids: readonly string[],
): Promise<Attachment[]> {
  const { sql } = app;
  return await sql<Attachment[]>`
    ${selectAttachments(app)}
      and attachments.id = any(${ids as string[]}::uuid[])
      and (attachments.message_id is not null or attachments.uploader_id = ${viewer.userId})
      and exists (
        select
        from members
        where members.room_id = attachments.room_id
          and members.user_id = ${viewer.userId}
      )`;
}

/** The files on each of these messages, in the author's order. */
export async function listAttachmentsOf(app: App, messageIds: readonly string[]): Promise<Attachment[][]> {
  const attachments = await app.sql<Attachment[]>`
    ${selectAttachments(app)}
      and attachments.message_id = any(${messageIds as string[]}::uuid[])
    order by attachments.message_id, attachments.position`;
  return messageIds.map((id) => attachments.filter(({ messageId }) => messageId === id));
}

/** The files to be sent with each of these scheduled messages, in the author's order; none where the author is not in the room
 * any more. */
export async function listScheduledAttachments(app: App, scheduledIds: readonly string[]): Promise<Attachment[][]> {
  const attachments = await app.sql<Attachment[]>`
    ${selectAttachments(app)}
      and attachments.scheduled_message_id = any(${scheduledIds as string[]}::uuid[])
      and exists (
        select
        from members
        where members.room_id = attachments.room_id
          and members.user_id = attachments.uploader_id
      )
    order by attachments.scheduled_message_id, attachments.position`;
  return scheduledIds.map((id) => attachments.filter(({ scheduledMessageId }) => scheduledMessageId === id));
}

const SHARED: Omit<Keyset<Attachment>, "rows"> = {
  name: "room.attachments",
  key: [["seq", "bigint"], ["position", "int"]],
  keyOf: ({ seq, position }) => [seq ?? 0, position],
  descending: true,
};

/** Files on the messages of the room, newest first; only of these kinds, where they are given. Throws BAD_USER_INPUT. */
export async function pageAttachments(
  app: App,
  member: Member,
  { mediaKinds, page }: { readonly mediaKinds: readonly MediaKind[] | null | undefined; readonly page: Page },
): Promise<Connection<Attachment>> {
  const { sql } = app;
  const rows = sql`
    ${selectAttachments(app)}
      and attachments.room_id = ${member.roomId}
      and attachments.seq is not null
      and ${mediaKinds ? sql`attachments.media_kind = any(${mediaKinds as string[]}::text[])` : sql`true`}`;
  return await readPage<Attachment>(sql, { ...SHARED, rows }, page);
}

/** What these events are about, in their order; only a shell, where it was deleted since. */
export async function listEventAttachments(
  app: App,
  events: readonly Pick<RoomEvent, "roomId" | "actorId" | "subjectId" | "createdAt">[],
): Promise<Attachment[]> {
  const found = await listAttachments(app, events.map(({ subjectId }) => subjectId));
  return events.map((event) => found.find(({ id }) => id === event.subjectId) ?? deletedAttachment(event));
}

function deletedAttachment(
  { roomId, actorId, subjectId, createdAt }: Pick<RoomEvent, "roomId" | "actorId" | "subjectId" | "createdAt">,
): Attachment {
  return {
    id: subjectId,
    fileId: subjectId,
    roomId,
    uploaderId: actorId ?? "",
    messageId: null,
    seq: null,
    position: 0,
    scheduledMessageId: null,
    filename: "deleted",
    mediaKind: "OTHER",
    mediaType: "application/octet-stream",
    byteSize: 0,
    width: null,
    height: null,
    thumbhash: null,
    status: "FAILED",
    createdAt,
  };
}
