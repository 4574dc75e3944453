/** What a stored file is, found by looking at its bytes: the client's word never counts. */
import type { MediaKind } from "./files.ts";

export interface Inspection {
  readonly byteSize: number;
  readonly sha256: Uint8Array;
  /** By content; `application/octet-stream` where nothing better is known. */
  readonly mediaType: string;
  /** IMAGE for what the image worker processes, and nothing else. */
  readonly mediaKind: MediaKind;
}

/** Reads the stored file once, to its end. Throws EMPTY, UNSUPPORTED_MEDIA_TYPE, INVALID_INPUT. */
export async function inspectFile(
  _body: ReadableStream<Uint8Array>,
  _filename: string,
): Promise<Inspection> {
  return await Promise.reject(new Error("Not there yet"));
}
