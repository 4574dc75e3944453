/** Files that come with a GraphQL request: stored while the request is read, then taken by its resolvers or discarded. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import type { AppError } from "../errors.ts";
import type { Inspection } from "./inspection.ts";

/** One file of a request, as the `Upload` scalar hands it to a resolver: stored and inspected, or refused. */
export class IncomingFile {
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
  _app: App,
  _viewer: Viewer,
  _file: { readonly filename: string; readonly body: ReadableStream<Uint8Array> },
): Promise<IncomingFile> {
  return await Promise.reject(new Error("Not there yet"));
}

/** Deletes those of the files that nothing has taken. */
export async function discardFiles(_app: App, _files: readonly IncomingFile[]): Promise<void> {
  await Promise.reject(new Error("Not there yet"));
}
