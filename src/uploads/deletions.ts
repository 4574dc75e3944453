/** Deleting stored files, and finding those that a crash or a client has left behind. First the bytes, then the row: what is
 * interrupted is found again. */
import type { App } from "../app.ts";
import { oneAtATime, repeat } from "../platform/timers.ts";
import { IMAGE_SIZES, renditionKey, type StoredFile, uploadKey } from "./files.ts";

const SWEEP_MS = 60_000;
/** Files of one statement. */
const FILES_MAX = 100;
/** How long a file may come in, and be processed, before something refers to it. */
const UNUSED_MINUTES_MAX = 60;
/** How long an announced file may come in, and one that is there wait for its message. */
export const UNSENT_HOURS_MAX = 24;

/** Deletes what nobody needs any more as long as the app runs, beginning now. */
export function sweepUploads(app: App): AsyncDisposable {
  const sweep = oneAtATime(async () => {
    await deleteUnsent(app);
    await deleteUnused(app);
    await deleteProcessed(app);
  });
  app.background(sweep());
  return repeat(SWEEP_MS, () => app.background(sweep()));
}

/** Deletes in the background what nothing refers to since just now. */
export function deleteReleased(app: App): void {
  app.background(deleteUnused(app));
}

/** Deletes those of the files that came in and that nothing has taken. One that took so long to come that its row is gone
 * has left bytes that no sweep would find. */
export async function discardFiles(app: App, fileIds: readonly string[]): Promise<void> {
  const known = await app.sql<{ id: string }[]>`
    select id
    from files
    where id = any(${fileIds as string[]}::uuid[])`;
  for (const fileId of fileIds) if (!known.some(({ id }) => id === fileId)) await app.files.delete(uploadKey(fileId));
  await app.sql`
    update files
    set status = 'DELETING'
    where id = any(${fileIds as string[]}::uuid[])
      and unused_since is not null`;
  await deleteUnused(app, fileIds);
}

/** Deletes attachments that were not sent within a day, and returns how many. */
export async function deleteUnsent({ sql }: App): Promise<number> {
  const { count } = await sql`
    delete from attachments
    where message_id is null
      and scheduled_message_id is null
      and unsent_since < now() - make_interval(hours => ${UNSENT_HOURS_MAX})`;
  return count;
}

/** Deletes files that nothing refers to, only these of them where they are given, and returns how many. */
export async function deleteUnused(app: App, among: readonly string[] | null = null): Promise<number> {
  let total = 0;
  while (true) {
    const files = await app.sql<Pick<StoredFile, "id" | "progress">[]>`
      update files
      set status = 'DELETING'
      where id in (
        select id
        from files
        where unused_since is not null
          and (status = 'DELETING' or unused_since < now() - make_interval(mins => ${UNUSED_MINUTES_MAX}))
          and ${among === null ? app.sql`true` : app.sql`id = any(${among as string[]}::uuid[])`}
        order by unused_since
        limit ${FILES_MAX}
        for update skip locked
      )
      returning id, progress`;
    for (const file of files) await deleteFile(app, file);
    total += files.length;
    if (files.length < FILES_MAX) return total;
  }
}

/** Deletes images as they came, once their renditions are there. */
export async function deleteProcessed(app: App): Promise<void> {
  const files = await app.sql<{ id: string }[]>`
    select id
    from files
    where has_upload
      and renditions is not null
    limit ${FILES_MAX}`;
  for (const { id } of files) await deleteUpload(app, id);
}

/** Deletes an image as it came: it says where it was taken, and is never shown. */
export async function deleteUpload(app: App, fileId: string): Promise<void> {
  await app.files.delete(uploadKey(fileId));
  await app.sql`
    update files
    set has_upload = false
    where id = ${fileId}`;
}

/** Deletes what was made of an image. */
export async function deleteRenditions(app: App, fileId: string): Promise<void> {
  for (const size of IMAGE_SIZES) await app.files.delete(renditionKey(fileId, size));
}

async function deleteFile(app: App, { id, progress }: Pick<StoredFile, "id" | "progress">): Promise<void> {
  try {
    if (progress !== null) await app.files.abandon(uploadKey(id), progress);
    await app.files.delete(uploadKey(id));
    await deleteRenditions(app, id);
  } catch (error) {
    // It waits behind all others: one that can't be deleted must not be in their way.
    await app.sql`update files set unused_since = now() where id = ${id}`;
    throw error;
  }
  await app.sql`
    with deleted as (
      delete from files
      where id = ${id}
        and status = 'DELETING'
      returning owner_id, byte_size
    )
    update users
    set stored_bytes = stored_bytes - deleted.byte_size
    from deleted
    where users.id = deleted.owner_id`;
}
