/** Where uploaded files are stored: on disk, or in a bucket of an S3-compatible storage. Knows bytes under keys, and nothing
 * of what they are. */
import { AppError } from "../errors.ts";
import type { ByteRange } from "../lib/byte_ranges.ts";

/** What is safe of a file that has not come to its end. JSON: whoever takes the transfer up again hands it back. */
export interface Progress {
  /** From the beginning of the file. */
  readonly byteSize: number;
  /** The storage's own name for the transfer. */
  readonly session: string;
  /** What the storage has confirmed, in order, where it wants to hear of it at the end. */
  readonly parts?: readonly string[];
}

/** A transfer that may be broken off and taken up again, on another node as well. */
export interface Transfer {
  /** `null`: begins with the first byte, in a session of its own; what an older one has made safe stays until it is abandoned. */
  readonly from: Progress | null;
  /** Called with what is safe, never with less than before: when the session begins, whenever more is safe, also when the body
   * breaks off, and before the file is there. Where it rejects, the transfer ends with that error and what was safe stays:
   * after that, nothing of it takes the place of a file. */
  onSafe(progress: Progress): Promise<void>;
}

/** Keys are lowercase letters, digits, `_`, `-`, and slashes in between; any other is a bug, and throws a `TypeError`. */
export interface Files {
  /** Stores the body under the key, whole and durable or not at all; what was there before is replaced. Takes no more from the
   * body than it has written, and never holds all of it. Where the body breaks off it rejects with the body's own error, and
   * nothing is left, but for what a `transfer` keeps; where the storing fails, the body is canceled. Of two requests in one
   * session the later one goes on. Throws UNAVAILABLE where the storage is away or full, and NOT_FOUND where the session of
   * `transfer.from` is over: it has to begin with the first byte. */
  store(key: string, body: ReadableStream<Uint8Array>, transfer?: Transfer): Promise<void>;
  /** `null` where nothing is stored under the key; of a range, what lies beyond the end of the file is left out. The stream must be read to its end or canceled, and throws UNAVAILABLE as
   * well. Throws UNAVAILABLE. */
  read(key: string, range?: ByteRange): Promise<ReadableStream<Uint8Array> | null>;
  /** Deletes what is under the key; nothing there is no error. What is being stored meanwhile may still come to be there: who
   * deletes for good sees to it that nobody stores any more. Throws UNAVAILABLE. */
  delete(key: string): Promise<void>;
  /** Deletes what is safe of a transfer that nobody will take up again; nothing there is no error. Throws UNAVAILABLE. */
  abandon(key: string, progress: Progress): Promise<void>;
  /** Asks the storage for its health. Throws UNAVAILABLE. */
  check(): Promise<void>;
}

/** Milliseconds after which a storage that is away is worth another try. */
const RETRY_MS = 2_000;

export function requireKey(key: string): void {
  if (!/^[a-z0-9_-]{2,}(\/[a-z0-9_-]+)*$/.test(key)) throw new TypeError(`${key} is no key of a file`);
}

export function storageAway(state: string, cause: unknown): AppError {
  return new AppError("UNAVAILABLE", `Cannot reach the files: ${state}`, { retryAfterMs: RETRY_MS, cause });
}

export function transferIsOver(cause?: unknown): AppError {
  return new AppError("NOT_FOUND", "Cannot go on with the upload: what had come of it is gone, begin again", { cause });
}
