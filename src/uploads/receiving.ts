/** Files that come with a GraphQL request: stored while the request is read, then taken by its resolvers or discarded. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError, isRefusal } from "../errors.ts";
import { discardFiles } from "./deletions.ts";
import { uploadKey } from "./files.ts";
import { inspectFile, type Inspection } from "./inspection.ts";

/** One file of a request, as the `Upload` scalar hands it to a resolver: stored and inspected, or refused. */
export class IncomingFile {
  /** Whether it is known to be taken: all others are tried to be discarded after the request. */
  isTaken = false;

  constructor(
    readonly filename: string,
    /** In the table `files`; nobody's yet. */
    readonly fileId: string,
    /** What it is, or why it is not taken. */
    readonly outcome: Inspection | AppError,
  ) {}
}

/** Stores what comes and finds out what it is. What is refused (FILE_TOO_LARGE, EMPTY, UNSUPPORTED_MEDIA_TYPE, INVALID_INPUT)
 * is an outcome, and deleted again; rejects where the body breaks off. */
export async function receiveFile(
  app: App,
  viewer: Viewer,
  { filename, body }: { readonly filename: string; readonly body: ReadableStream<Uint8Array> },
): Promise<IncomingFile> {
  const fileId = crypto.randomUUID();
  // Before the first byte: whatever happens from here on, a sweep finds what was stored.
  await app.sql`
    insert into files (id, owner_id, purpose)
    values (${fileId}, ${viewer.userId}, 'ATTACHMENT')`;
  try {
    await app.files.store(uploadKey(fileId), body);
    return new IncomingFile(filename, fileId, await inspectStored(app, fileId, filename));
  } catch (error) {
    app.background(discardFiles(app, [fileId]));
    if (isRefusal(error)) return new IncomingFile(filename, fileId, error);
    throw error;
  }
}

/** What the file is that is stored as it came. Throws EMPTY, UNSUPPORTED_MEDIA_TYPE, INVALID_INPUT, UNAVAILABLE. */
export async function inspectStored(app: App, fileId: string, filename: string): Promise<Inspection> {
  const stored = await app.files.read(uploadKey(fileId));
  if (stored === null) throw new Error(`Cannot inspect the file ${fileId}: it is not in the storage`);
  return await inspectFile(stored, filename);
}

/** `limit`: bytes. */
export function fileTooLarge(limit: number, path?: readonly string[]): AppError {
  const details = { limit, ...path && { path } };
  return new AppError("FILE_TOO_LARGE", `Cannot take the file: it has more than ${limit} bytes`, details);
}
