/** Files that are stored already, past uploading and processing: rows by SQL, bytes in the storage of the app. */
import { createHash } from "node:crypto";
import { findId, newId } from "../../src/lib/ids.ts";
import {
  type FilePurpose,
  type FileStatus,
  IMAGE_SIZES,
  type ImageSize,
  type Rendition,
  renditionKey,
  type StoredFile,
  uploadKey,
} from "../../src/uploads/files.ts";
import { attachmentUrl } from "../../src/uploads/links.ts";
import type { Person, TestApp, TestRoom } from "./app.ts";
import type { Bytes } from "./bytes.ts";

export interface StoredAttachment {
  readonly id: string;
  readonly fileId: string;
  readonly filename: string;
}

interface Stored {
  readonly room: Pick<TestRoom, "id">;
  /** `null`: not sent yet. */
  readonly messageId?: string | null;
  readonly filename?: string;
  readonly bytes?: Bytes;
  readonly mediaType?: string;
  readonly status?: FileStatus;
}

/** Ten different bytes. */
export const TEN_BYTES = new TextEncoder().encode("0123456789");

/** Attaches a file that is no image. (Default: a text of ten bytes, not sent) */
export async function attachFile({ app }: TestApp, as: Person, stored: Stored): Promise<StoredAttachment> {
  const { bytes = TEN_BYTES, mediaType = "text/plain", status = "READY" } = stored;
  const fileId = await storeFile({ app }, as, { bytes, mediaType, status });
  return await attach({ app }, as, { ...stored, fileId, mediaKind: "OTHER" });
}

/** Attaches an image: what came, and of each size its name in the place of pixels. */
export async function attachImage({ app }: TestApp, as: Person, stored: Stored): Promise<StoredAttachment> {
  const fileId = await storeImage(app, as, { purpose: "ATTACHMENT", status: stored.status ?? "READY" });
  return await attach({ app }, as, { filename: "photo.jpg", ...stored, fileId, mediaKind: "IMAGE" });
}

/** Stores a picture, and gives it to the person; returns the id of its file. */
export async function givePicture({ app }: TestApp, as: Person): Promise<string> {
  const fileId = await storeImage(app, as, { purpose: "PICTURE", status: "READY" });
  await app.sql`update users set avatar_id = ${fileId} where id = ${findId("user", as.id)}`;
  return fileId;
}

/** Stores a picture, and makes it the icon of the room. */
export async function giveIcon({ app }: TestApp, as: Person, room: Pick<TestRoom, "id">): Promise<void> {
  const fileId = await storeImage(app, as, { purpose: "PICTURE", status: "READY" });
  await app.sql`update rooms set icon_id = ${fileId} where id = ${findId("room", room.id)}`;
}

/** What the image stores in this size. */
export function renditionBytes(size: ImageSize): Bytes {
  return new TextEncoder().encode(`the image, ${size.toLowerCase()}`);
}

/** What came of every image. */
export const IMAGE_AS_IT_CAME = new TextEncoder().encode("the image as it came, with the place where it was taken");

/** Of nothing that anybody looks at. */
const THUMBHASH = "1QcSHQRnh493V4dIh4eXh1h4kJUI";

async function storeImage(
  app: TestApp["app"],
  as: Person,
  { purpose, status }: { readonly purpose: FilePurpose; readonly status: FileStatus },
): Promise<string> {
  const sizes = purpose === "PICTURE" ? (["SMALL", "MEDIUM"] as const) : IMAGE_SIZES;
  const renditions = Object.fromEntries(sizes.map((size): [ImageSize, Rendition] => {
    const bytes = renditionBytes(size);
    const mediaType = size === "ORIGINAL" ? "image/jpeg" : "image/webp";
    return [size, { mediaType, byteSize: bytes.length, sha256: sha256(bytes).toHex() }];
  }));
  const fileId = await storeFile({ app }, as, {
    bytes: IMAGE_AS_IT_CAME,
    mediaType: "image/jpeg",
    purpose,
    status,
    made: status === "READY" ? { width: 40, height: 30, thumbhash: THUMBHASH, renditions } : null,
  });
  for (const size of sizes) {
    await app.files.store(renditionKey(fileId, size), new Blob([renditionBytes(size)]).stream());
  }
  return fileId;
}

/** Stores the bytes as they came, and all that is known of them; returns the id. */
export async function storeFile({ app }: Pick<TestApp, "app">, as: Person, file: {
  readonly bytes: Bytes;
  readonly mediaType: string;
  readonly status: FileStatus;
  readonly purpose?: FilePurpose;
  readonly made?: Pick<StoredFile, "width" | "height" | "thumbhash" | "renditions"> | null;
  readonly ageSeconds?: number;
}): Promise<string> {
  const { bytes, mediaType, status, purpose = "ATTACHMENT", made = null, ageSeconds = 0 } = file;
  const { sql } = app;
  const [fileId, ownerId] = [crypto.randomUUID(), findId("user", as.id)];
  await app.files.store(uploadKey(fileId), new Blob([bytes]).stream());
  await sql`
    insert into files (
      id, owner_id, purpose, status, byte_size, media_type, sha256, width, height, thumbhash, renditions, created_at,
      unused_since
    ) values (
      ${fileId}, ${ownerId}, ${purpose}, ${status}, ${bytes.length}, ${mediaType}, ${sha256(bytes)},
      ${made?.width ?? null}, ${made?.height ?? null}, ${made?.thumbhash ?? null},
      ${made && sql.json(made.renditions as never)}, now() - make_interval(secs => ${ageSeconds}), null
    )`;
  return fileId;
}

/** Makes an attachment of a file that is stored. */
export async function attach(
  { app }: Pick<TestApp, "app">,
  as: Person,
  { room, messageId = null, filename = "notes.txt", fileId, mediaKind }:
    & Pick<Stored, "room" | "messageId" | "filename">
    & {
      readonly fileId: string;
      readonly mediaKind: "IMAGE" | "OTHER";
    },
): Promise<StoredAttachment> {
  const id = newId();
  const message = messageId && findId("message", messageId);
  await app.sql`
    insert into attachments (id, file_id, room_id, uploader_id, filename, media_kind, message_id, seq)
    values (
      ${id}, ${fileId}, ${findId("room", room.id)}, ${findId("user", as.id)}, ${filename}, ${mediaKind}, ${message},
      (select seq from messages where id = ${message})
    )`;
  return { id, fileId, filename };
}

/** Where the person finds the file on this server. */
export function linkTo(
  { app, url }: TestApp,
  as: Person,
  { attachment, size = "ORIGINAL", nowMs = Date.now() }: {
    readonly attachment: Pick<StoredAttachment, "id" | "filename">;
    readonly size?: ImageSize;
    readonly nowMs?: number;
  },
): string {
  const link = new URL(attachmentUrl(app, findId("user", as.id) ?? "", attachment, size, nowMs));
  return new URL(link.pathname + link.search, url).href;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
