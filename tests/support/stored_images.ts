/** Images as an upload leaves them: stored, in the tables, and waiting for their job. */
import { IMAGE_SIZES, renditionKey, type StoredFile, uploadKey } from "../../src/uploads/files.ts";
import type { ImageType } from "../../src/uploads/image_protocol.ts";
import { type Person, startApp, type TestApp, type TestRoom } from "./app.ts";
import type { Bytes } from "./bytes.ts";
import { attach, storeFile } from "./stored_files.ts";

export interface StoredImage {
  readonly fileId: string;
  readonly attachmentId: string;
}

export interface Place {
  readonly by: Person;
  readonly room: TestRoom;
  /** Whether it is on a message. (Default: true) */
  readonly isSent?: boolean;
  /** (Default: image/jpeg) */
  readonly mediaType?: ImageType;
  /** (Default: 60, as if its job had been lost) */
  readonly ageSeconds?: number;
}

/** Without a job: `queueImage` or a sweep gives it one. */
export async function storeImage(app: TestApp, bytes: Bytes, place: Place): Promise<StoredImage> {
  const { by, room, isSent = true, mediaType = "image/jpeg", ageSeconds = 60 } = place;
  const fileId = await storeFile(app, by, { bytes, mediaType, status: "PROCESSING", ageSeconds });
  const messageId = isSent ? (await app.send(by, room, "Look")).id : null;
  const { id } = await attach(app, by, { room, messageId, fileId, filename: "photo.jpg", mediaKind: "IMAGE" });
  return { fileId, attachmentId: id };
}

export async function findFile(app: TestApp, fileId: string): Promise<StoredFile & { readonly hasUpload: boolean }> {
  const [file] = await app.app.sql<(StoredFile & { hasUpload: boolean })[]>`select * from files where id = ${fileId}`;
  if (!file) throw new Error(`There is no file ${fileId}`);
  return file;
}

/** Events that tell of the attachment. */
export async function countEvents(app: TestApp, { attachmentId }: StoredImage): Promise<number> {
  const { count } = await app.app.sql`
    select seq
    from room_events
    where subject_id = ${attachmentId}
      and kind = 'ATTACHMENT_PROCESSED'`;
  return count;
}

/** Names of what is stored of the file. */
export async function listStored(app: TestApp, fileId: string): Promise<string[]> {
  const keys = [
    uploadKey(fileId),
    ...IMAGE_SIZES.map((size) => renditionKey(fileId, size)),
  ];
  const found: string[] = [];
  for (const key of keys) {
    const body = await app.app.files.read(key);
    if (body === null) continue;
    await body.cancel();
    found.push(key.slice(key.indexOf("/") + 1));
  }
  return found;
}

/** A server with a room, and with one image worker unless `env` says otherwise. */
export async function startWithRoom(
  env: Record<string, string> = {},
  joins?: TestApp,
): Promise<{ readonly app: TestApp; readonly by: Person; readonly room: TestRoom }> {
  const app = await startApp({ IMAGE_WORKERS: "1", LOG_LEVEL: "info", ...env }, joins ? { joins } : {});
  const by = await app.signUp("alice");
  return { app, by, room: await app.makeRoom(by) };
}
