/** From a stored upload to an image that can be shown: a job for each, done by this process where it has image workers, or by
 * another one. Whatever dies on the way, the image ends as READY or FAILED, and its room hears of it. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { isAway, retryDeadlock } from "../platform/sql.ts";
import { oneAtATime, repeat } from "../platform/timers.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { deleteRenditions, deleteUpload } from "./deletions.ts";
import { type FilePurpose, renditionKey, type Renditions, uploadKey } from "./files.ts";
import { ImagePool, ImageRefused } from "./image_pool.ts";
import type { ImageType, ProcessedImage } from "./image_protocol.ts";

const QUEUE = "images";
/** Between two looks for what fell through. */
const SWEEP_MS = 60_000;
/** Younger ones may be about to get their job. */
const LOST_AFTER_SECONDS = 30;
/** After a day without its bytes an image is given up. */
const MISSING_MS_MAX = 86_400_000;
/** An image that waits longer has nobody who works on it, or too many before it. */
const LATE_SECONDS = 60;
/** Files of one sweep. */
const FILES_MAX = 1_000;

interface ImageJob {
  readonly fileId: string;
}

interface WaitingImage {
  readonly id: string;
  readonly purpose: FilePurpose;
  readonly mediaType: ImageType;
  readonly byteSize: number;
  readonly createdAt: Date;
}

type Outcome = Pick<ProcessedImage, "width" | "height" | "thumbhash"> & { readonly renditions: Renditions };

/** Has the image of a file with the status PROCESSING be made; a second call changes nothing. Where no job can be stored now it
 * does not reject: the file is safe, and `requeueLost` finds it. */
export async function queueImage(app: App, fileId: string): Promise<void> {
  await send(app, fileId).catch((error) => app.log.warn("An image waits for its job", { file: fileId, error }));
}

async function send(app: App, fileId: string): Promise<void> {
  await app.jobs.send(QUEUE, fileId, { fileId } satisfies ImageJob);
}

/** Topic of the hints that an image is READY or FAILED: `{ fileId, status }`. */
export function fileTopic(fileId: string): string {
  return `file:${fileId}`;
}

export interface Processing extends AsyncDisposable {
  readonly pool: ImagePool;
}

/** Works on the images of all nodes, as many at a time as there are image workers, until it is disposed. */
export function keepProcessing(app: App): Processing {
  const size = Math.max(1, app.config.imageWorkers);
  const pool = new ImagePool(size);
  const work = app.jobs.work<ImageJob>(QUEUE, ({ fileId }) => processImage(app, pool, fileId), {
    concurrency: size,
    onExhausted: ({ fileId }) => failImage(app, fileId, "every try has failed"),
  });
  const sweep = oneAtATime(() => requeueLost(app));
  app.background(sweep());
  const timer = repeat(SWEEP_MS, () => app.background(sweep()));
  return {
    pool,
    async [Symbol.asyncDispose]() {
      await timer[Symbol.asyncDispose]();
      await work[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
    },
  };
}

/** Whether images wait for longer than they should. */
export async function areImagesLate({ sql }: App): Promise<boolean> {
  const [late] = await sql`
    select
    from files
    where status = 'PROCESSING'
      and created_at < now() - make_interval(secs => ${LATE_SECONDS})
    limit 1`;
  return late !== undefined;
}

/** Gives those a job again that have lost theirs: it was never sent, or its end could not be written down. */
export async function requeueLost(app: App): Promise<void> {
  const rows = await app.sql<{ id: string }[]>`
    select id
    from files
    where status = 'PROCESSING'
      and created_at < now() - make_interval(secs => ${LOST_AFTER_SECONDS})
    order by created_at
    limit ${FILES_MAX}`;
  if (rows.length === 0) return;
  const queued = await app.jobs.listKeys(QUEUE);
  for (const { id } of rows) if (!queued.has(id)) await send(app, id);
}

/** One try. What it rejects with counts; that the storage or the database is away does not: `requeueLost` brings it back. */
async function processImage(app: App, pool: ImagePool, fileId: string): Promise<void> {
  try {
    const image = await findWaiting(app, fileId);
    if (image === null) return await dropUnwanted(app, fileId); // of a try whose process was killed
    const outcome = await makeImage(app, pool, image);
    if (outcome === null) return await missBytes(app, image);
    await finish(app, fileId, outcome);
  } catch (error) {
    if (error instanceof ImageRefused) return await failImage(app, fileId, error.message);
    if (!isPassing(error)) throw error;
    app.log.warn("An image has to wait", { file: fileId, state: String(error) });
  }
}

function isPassing(error: unknown): boolean {
  return isAway(error) || (error instanceof AppError && error.code === "UNAVAILABLE");
}

async function findWaiting({ sql }: App, fileId: string): Promise<WaitingImage | null> {
  const [image] = await sql<WaitingImage[]>`
    select id, purpose, media_type, byte_size, created_at
    from files
    where id = ${fileId}
      and status = 'PROCESSING'`;
  return image ?? null;
}

async function makeImage(app: App, pool: ImagePool, image: WaitingImage): Promise<Outcome | null> {
  const { id, purpose, mediaType, byteSize } = image;
  const body = await app.files.read(uploadKey(id));
  if (body === null) return null;
  const { width, height, thumbhash, renditions } = await pool.process(
    { purpose, mediaType, byteSize },
    body,
    ({ size }, rendition) => app.files.store(renditionKey(id, size), rendition),
  );
  return {
    width,
    height,
    thumbhash,
    renditions: Object.fromEntries(renditions.map(({ size, ...rendition }) => [size, rendition])),
  };
}

/** They may be where another process looks: a volume that is not mounted here, a bucket that was not named. */
async function missBytes(app: App, { id, createdAt }: WaitingImage): Promise<void> {
  if (createdAt.getTime() < Date.now() - MISSING_MS_MAX) return await failImage(app, id, "its bytes are gone");
  app.log.warn("An image has to wait: its bytes are not in the storage that this process sees", { file: id });
}

async function failImage(app: App, fileId: string, reason: string): Promise<void> {
  app.log.info("An image is refused", { file: fileId, reason });
  await finish(app, fileId, null);
}

/** `null`: it has failed. Does nothing where somebody else was faster, or nobody wants it any more. */
async function finish(app: App, fileId: string, outcome: Outcome | null): Promise<void> {
  const status = outcome === null ? "FAILED" : "READY";
  const { isFinished, event } = await writeOutcome(app, fileId, outcome);
  if (event) publishRoomEvent(app, event);
  if (isFinished) {
    app.bus.publish(fileTopic(fileId), { fileId, status });
    return await (outcome === null ? deleteRenditions(app, fileId) : deleteUpload(app, fileId));
  }
  await dropUnwanted(app, fileId);
}

/** Its other bytes may have been deleted before these were there. */
async function dropUnwanted(app: App, fileId: string): Promise<void> {
  const [file] = await app.sql<{ status: string }[]>`select status from files where id = ${fileId}`;
  if (file?.status !== "READY" && file?.status !== "PROCESSING") await deleteRenditions(app, fileId);
}

interface Written {
  readonly isFinished: boolean;
  readonly event: RoomEvent | null;
}

/** The attachment is locked first, then the file, then the room: as whoever sends or deletes it does. So either the message
 * is seen here, and its room hears of it, or the message is sent with what is READY. */
async function writeOutcome(app: App, fileId: string, outcome: Outcome | null): Promise<Written> {
  const { sql } = app;
  const status = outcome === null ? "FAILED" : "READY";
  const renditions = outcome === null ? null : sql.json(outcome.renditions as never);
  const rows = await retryDeadlock(() =>
    sql<(RoomEvent & { readonly isEvent: boolean })[]>`
    with attachment as (
      select id, room_id, uploader_id, message_id
      from attachments
      where file_id = ${fileId}
      for update
    ), file as (
      update files
      set
        status = ${status},
        width = ${outcome?.width ?? null},
        height = ${outcome?.height ?? null},
        thumbhash = ${outcome?.thumbhash ?? null},
        renditions = ${renditions}
      where id = ${fileId}
        and status = 'PROCESSING'
        and (select count(*) from attachment) >= 0 -- so that it is locked by now
      returning id
    ), room as (
      update rooms
      set ${takeSeq(app)}
      from attachment, file
      where rooms.id = attachment.room_id
        and attachment.message_id is not null
      returning rooms.id, rooms.last_seq, attachment.id as attachment_id, attachment.uploader_id
    ), event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id)
      select id, last_seq, 'ATTACHMENT_PROCESSED', uploader_id, attachment_id from room
      returning *
    )
    select event.*, event.room_id is not null as is_event
    from file
    left join event on true`
  );
  const [row] = rows;
  if (row === undefined) return { isFinished: false, event: null };
  const { isEvent, ...event } = row;
  return { isFinished: true, event: isEvent ? event : null };
}
