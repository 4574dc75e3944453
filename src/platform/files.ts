/** Where uploaded files are stored: on disk, or in a bucket of an S3-compatible storage. Knows bytes under keys, and nothing
 * of what they are. */
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
  /** `null`: begins with the first byte. */
  readonly from: Progress | null;
  /** Called whenever more is safe, also when the body breaks off, and before the file is there. Where it rejects, the transfer
   * ends with that error and what was safe stays. */
  onSafe(progress: Progress): Promise<void>;
}

/** Bytes from `start` to before `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface Files {
  /** Stores the body under the key, whole and durable or not at all; what was there before is replaced. Takes no more from the
   * body than it has written, and never holds all of it. Where the body breaks off it rejects with the body's own error, and
   * nothing is left, but for what a `transfer` keeps. Throws UNAVAILABLE where the storage is away or full. */
  store(key: string, body: ReadableStream<Uint8Array>, transfer?: Transfer): Promise<void>;
  /** `null` where nothing is stored under the key. Canceling the stream ends the reading. Throws UNAVAILABLE. */
  read(key: string, range?: ByteRange): Promise<ReadableStream<Uint8Array> | null>;
  /** Deletes what is under the key; nothing there is no error. Throws UNAVAILABLE. */
  delete(key: string): Promise<void>;
  /** Deletes what is safe of a transfer that nobody will take up again. Throws UNAVAILABLE. */
  abandon(key: string, progress: Progress): Promise<void>;
  /** Asks the storage for its health. Throws UNAVAILABLE. */
  check(): Promise<void>;
}
