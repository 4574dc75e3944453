/** Avatars and room icons: the square middle of an image, shown to everybody who may see the person or the room. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { within } from "../platform/timers.ts";
import type { Member } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { lockPicture, pictureGone } from "../rooms/icons.ts";
import { type RoomChange, updateRoom } from "../rooms/settings.ts";
import { deleteReleased, discardFiles } from "./deletions.ts";
import type { FileStatus, StoredFile } from "./files.ts";
import { fileTopic, queueImage } from "./image_jobs.ts";
import type { Inspection } from "./inspection.ts";
import type { IncomingFile } from "./receiving.ts";
import { chargeQuota, explainUntaken, lockIncoming, takeIncoming } from "./taking.ts";

/** How long a mutation waits for its picture. */
const WAIT_MS_MAX = 15_000;
/** Between two looks at the database, for a hint that was lost. */
const LOOK_MS = 1_000;

export type Picture = Pick<StoredFile, "id" | "width" | "height" | "thumbhash">;

/** The pictures with these ids, in any order. */
export async function listPictures(app: App, ids: readonly string[]): Promise<Picture[]> {
  return await app.sql<Picture[]>`
    select id, width, height, thumbhash
    from files
    where id = any(${ids as string[]}::uuid[])
      and status = 'READY'
      and purpose = 'PICTURE'`;
}

/** Makes the file the viewer's avatar, `null` removes it, and returns the user's id. The old one is deleted. Throws
 * FILE_TOO_LARGE, EMPTY, INVALID_INPUT, UNSUPPORTED_MEDIA_TYPE, QUOTA_EXCEEDED, UNAVAILABLE. */
export async function updateAvatar(app: App, viewer: Viewer, file: IncomingFile | null): Promise<string> {
  const fileId = file && await makePicture(app, viewer, { file, path: "file" });
  await showAvatar(app, viewer, fileId);
  deleteReleased(app);
  return viewer.userId;
}

/** Shows a picture that is ready. Throws UNAVAILABLE where it is being deleted, because its client has gone. */
export async function showAvatar(app: App, { userId }: Pick<Viewer, "userId">, fileId: string | null): Promise<void> {
  const { sql } = app;
  const [owner] = await sql`
    with picture as (${lockPicture(app, fileId)}
    ), owner as (
      update users
      set avatar_id = ${fileId}
      where id = ${userId}
        and deleted_at is null
        and (${fileId === null} or exists (select from picture))
      returning id
    ), used as (
      update files
      set unused_since = null
      from owner, picture
      where files.id = picture.id
    )
    select from owner`;
  if (owner === undefined) throw pictureGone();
}

export interface RoomChangeWithIcon extends Omit<RoomChange, "iconId"> {
  /** `null` removes it. */
  readonly icon?: IncomingFile | null | undefined;
}

/** Changes the room, after making a picture of the icon, and returns its id. Throws what `updateRoom` and `updateAvatar` do. */
export async function updateRoomAndIcon(
  app: App,
  member: Member,
  { icon, ...change }: RoomChangeWithIcon,
): Promise<string> {
  if (icon === undefined) return await updateRoom(app, member, change);
  requirePermission(member, "MANAGE_ROOM", "roomId");
  const iconId = icon && await makePicture(app, member, { file: icon, path: "icon" });
  const roomId = await updateRoom(app, member, { ...change, iconId });
  deleteReleased(app);
  return roomId;
}

interface PictureInput {
  readonly file: IncomingFile;
  /** Field of the input that it came in. */
  readonly path: string;
}

/** Id of the picture that the image worker made of the file; nothing refers to it yet. */
async function makePicture(
  app: App,
  { userId }: Pick<Viewer, "userId">,
  { file: { fileId, outcome }, path }: PictureInput,
): Promise<string> {
  if (outcome instanceof AppError) {
    throw new AppError(outcome.code, outcome.message, { ...outcome.details, path: [path] });
  }
  if (outcome.mediaKind !== "IMAGE") throw unusable("it is no JPEG, PNG, GIF or WebP image", path);
  await takePicture(app, userId, { fileId, inspection: outcome });
  const status = await processed(app, fileId);
  if (status === "READY") return fileId;
  app.background(discardFiles(app, [fileId]));
  if (status === "FAILED") throw unusable("the image is damaged", path);
  const state = "no image worker has time for it, try again";
  throw new AppError("UNAVAILABLE", `Cannot use the picture: ${state}`, { retryAfterMs: WAIT_MS_MAX });
}

/** Charges the user for the file, which is to be processed. Throws INVALID_INPUT, QUOTA_EXCEEDED. */
async function takePicture(
  app: App,
  userId: string,
  { fileId, inspection }: { readonly fileId: string; readonly inspection: Inspection },
): Promise<void> {
  const incoming = lockIncoming(app, userId, fileId);
  const [taken] = await app.sql`
    with incoming as (${incoming}
    ), actor as (
      select ${userId}::uuid as user_id
      from incoming
    ), charged as (${chargeQuota(app, inspection.byteSize)}
    )
    ${takeIncoming(app, "PICTURE", inspection)}`;
  if (taken === undefined) throw await explainUntaken(app, incoming);
}

function unusable(state: string, path: string): AppError {
  return new AppError("UNSUPPORTED_MEDIA_TYPE", `Cannot use the file: ${state}`, { path: [path] });
}

/** The status of the file once it was processed, or after 15 s. */
async function processed(app: App, fileId: string): Promise<FileStatus> {
  let { promise: hinted, resolve: hear } = Promise.withResolvers<void>();
  const detach = await app.bus.subscribe(fileTopic(fileId), () => hear());
  try {
    await queueImage(app, fileId);
    const giveUpAtMs = performance.now() + WAIT_MS_MAX;
    while (true) {
      const [file] = await app.sql<{ status: FileStatus }[]>`select status from files where id = ${fileId}`;
      const status = file?.status ?? "FAILED";
      if (status !== "PROCESSING" || performance.now() >= giveUpAtMs) return status;
      await within(LOOK_MS, hinted);
      ({ promise: hinted, resolve: hear } = Promise.withResolvers<void>());
    }
  } finally {
    detach();
  }
}
