/** What a stored file is, found by looking at its bytes: the client's word never counts. */
import { createHash } from "node:crypto";
import { fileTypeFromBuffer } from "file-type";
import { AppError } from "../errors.ts";
import { pause } from "../platform/timers.ts";
import { Bytes, type Walk } from "./byte_walk.ts";
import type { MediaKind } from "./files.ts";
import { brokenImage, findImageType, IMAGE_WALKS } from "./image_headers.ts";

/** Bytes at the beginning that the type is told by: file-type knows most by so many. */
const HEAD_BYTES = 4096;
/** Bytes that are looked at in one go, and milliseconds after which others have their turn. The worst image, of 25 MB of
 * markers, costs 3 ms a piece, 1 s in all; a photo costs 40 ms in all. */
const PIECE_BYTES = 65_536;
const TURN_MS = 8;

const UNKNOWN_TYPE = "application/octet-stream";
/** Also of HTML and SVG: a browser must never take them for what they are. */
const TEXT_TYPE = "text/plain";

export interface Inspection {
  readonly byteSize: number;
  readonly sha256: Uint8Array;
  /** By content; `application/octet-stream` where nothing better is known. */
  readonly mediaType: string;
  /** IMAGE for what the image worker processes, and nothing else. */
  readonly mediaKind: MediaKind;
}

/** Reads the stored file once, to its end, with flat memory; what it refuses it does not read further. An image is followed
 * through its container, but nothing in it is decoded or unpacked. Rejects with the body's own error where it breaks off.
 * Throws EMPTY, UNSUPPORTED_MEDIA_TYPE, INVALID_INPUT. */
export async function inspectFile(body: ReadableStream<Uint8Array>, filename: string): Promise<Inspection> {
  const pieces = cutToPieces(body);
  try {
    const head = await takeHead(pieces);
    if (head.length === 0) throw new AppError("EMPTY", "Cannot take the file: it is empty");
    const imageType = findImageType(head);
    const mediaType = imageType ?? await findMediaType(head.subarray(0, HEAD_BYTES));
    if (imageType === null) requireNoImageName(filename, mediaType);
    const walk = imageType && new ImageWalk(IMAGE_WALKS[imageType]);
    const hash = createHash("sha256");
    let byteSize = 0;
    const take = (piece: Uint8Array) => {
      byteSize += piece.length;
      hash.update(piece);
      walk?.push(piece);
    };
    take(head);
    for await (const piece of pieces) take(piece);
    walk?.end();
    return { byteSize, sha256: new Uint8Array(hash.digest()), mediaType, mediaKind: kindOf(mediaType) };
  } finally {
    await pieces.return();
  }
}

/** Follows an image to its end, and pays no heed to what comes behind. */
class ImageWalk {
  readonly #bytes = new Bytes();
  readonly #walk: Walk;
  #isDone = false;

  constructor(begin: (bytes: Bytes) => Walk) {
    this.#walk = begin(this.#bytes);
  }

  push(piece: Uint8Array): void {
    if (this.#isDone) return;
    this.#bytes.feed(piece);
    this.#isDone = this.#walk.next().done === true;
  }

  /** Throws UNSUPPORTED_MEDIA_TYPE where the image has not come to its end. */
  end(): void {
    if (!this.#isDone) throw brokenImage();
  }
}

/** The body in pieces that are small enough to be looked at in one go. A body whose chunks are all there already would
 * keep everybody else waiting until its end. */
async function* cutToPieces(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let turnBeganMs = performance.now();
  for await (const chunk of body) {
    for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
      yield chunk.subarray(start, start + PIECE_BYTES);
      if (performance.now() - turnBeganMs < TURN_MS) continue;
      await pause(0);
      turnBeganMs = performance.now();
    }
  }
}

/** Whole pieces, until there are enough bytes. */
async function takeHead(pieces: AsyncGenerator<Uint8Array, void, void>): Promise<Uint8Array> {
  const taken: Uint8Array[] = [];
  let byteSize = 0;
  while (byteSize < HEAD_BYTES) {
    const { done, value } = await pieces.next();
    if (done) break;
    taken.push(value);
    byteSize += value.length;
  }
  const head = new Uint8Array(byteSize);
  let at = 0;
  for (const piece of taken) {
    head.set(piece, at);
    at += piece.length;
  }
  return head;
}

/** Throws UNSUPPORTED_MEDIA_TYPE where the name promises an image that the content is not. */
function requireNoImageName(filename: string, mediaType: string): void {
  const [, extension] = /(\.(?:png|jpe?g|gif|webp))\s*$/i.exec(filename) ?? [];
  if (extension === undefined) return;
  const content = mediaType === UNKNOWN_TYPE ? "of no type that is known here" : mediaType;
  const state = `its name says image (${extension}), its content is ${content}`;
  throw new AppError("UNSUPPORTED_MEDIA_TYPE", `Cannot take the file: ${state}`);
}

/** Of what is none of the images that are processed. */
async function findMediaType(head: Uint8Array): Promise<string> {
  const found = await detect(head);
  const isText = isTextual(head);
  // "BMW is a car" begins like a bitmap, and what begins with `<?xml` may be a page with scripts.
  const isUnfit = found === null || kindOf(found) === "IMAGE" || /\b(?:x?html|xml|svg|javascript)\b/.test(found);
  const isMisread = isText && found !== null && /^(?:image|audio|video)\//.test(found);
  if (!isUnfit && !isMisread) return found;
  return isText ? TEXT_TYPE : UNKNOWN_TYPE;
}

/** What file-type says, where it is a plain type; `null` for what it does not know. */
async function detect(head: Uint8Array): Promise<string | null> {
  if (head[0] === 0x1f && head[1] === 0x8b) return "application/gzip"; // file-type would unpack it
  try {
    const [mediaType = ""] = (await fileTypeFromBuffer(head))?.mime.split(";") ?? [];
    return /^[a-z]+\/[a-z\d][a-z\d.+-]{0,99}$/.test(mediaType) ? mediaType : null;
  } catch {
    return null; // it stumbles over some files that are broken, or are cut where the head ends
  }
}

/** UTF-8 without NUL; a character that the end cuts does no harm. */
function isTextual(head: Uint8Array): boolean {
  try {
    return !new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true }).includes("\0");
  } catch {
    return false;
  }
}

function kindOf(mediaType: string): MediaKind {
  if (mediaType in IMAGE_WALKS) return "IMAGE";
  if (mediaType.startsWith("video/")) return "VIDEO";
  return mediaType.startsWith("audio/") ? "AUDIO" : "OTHER";
}
