/** What an image says of itself, read along its whole container and without decoding a pixel: a few bytes can ask a decoder for
 * gigabytes. What follows the end of an image is ignored: it is never served as it came. */
import { crc32 } from "node:zlib";
import { AppError } from "../errors.ts";
import { type Bytes, readName, readUint24, type Walk } from "./byte_walk.ts";
import { FRAME_PIXELS_MAX, IMAGE_PIXELS_MAX, IMAGE_SIDE_MAX, type ImageType } from "./image_protocol.ts";

/** Of a JPEG: each costs a decoder a pass over the whole image. Encoders write about 10. */
const SCANS_MAX = 64;
/** Of an animation, however small they are: each costs a decoder some work beside its pixels. */
const FRAMES_MAX = 2_000;

/** Reads to the end of an image. Throws UNSUPPORTED_MEDIA_TYPE where it is broken and INVALID_INPUT where it is too large. */
export const IMAGE_WALKS = {
  "image/png": walkPng,
  "image/jpeg": walkJpeg,
  "image/gif": walkGif,
  "image/webp": walkWebp,
} as const satisfies Record<ImageType, (bytes: Bytes) => Walk>;

/** The type that the first bytes belong to. */
export function findImageType(head: Uint8Array): ImageType | null {
  const text = String.fromCharCode(...head.subarray(0, 12));
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (text.startsWith("\xff\xd8\xff") && head[3] !== 0xf7) return "image/jpeg"; // F7: JPEG-LS, which is another format
  if (/^GIF8[79]a/.test(text)) return "image/gif";
  return /^RIFF[^]{4}WEBP/.test(text) ? "image/webp" : null;
}

/** Of an image that does not come to its end, or whose parts contradict each other. */
export function brokenImage(): AppError {
  return new AppError("UNSUPPORTED_MEDIA_TYPE", "Cannot take the file: the image is incomplete or damaged");
}

interface Area {
  readonly width: number;
  readonly height: number;
}

function requireSound(isSound: boolean): void {
  if (!isSound) throw brokenImage();
}

function requireSize({ width, height }: Area): void {
  requireSound(width > 0 && height > 0);
  const side = Math.max(width, height);
  if (side > IMAGE_SIDE_MAX) throw tooMuch(side, "pixels on one side", IMAGE_SIDE_MAX);
  if (width * height > IMAGE_PIXELS_MAX) throw tooMuch(width * height, "pixels", IMAGE_PIXELS_MAX);
}

/** A decoder makes each frame as large as the whole. */
function requireFrames({ width, height }: Area, frames: number): void {
  if (frames > FRAMES_MAX) throw tooMuch(frames, "frames or more", FRAMES_MAX);
  const pixels = frames * width * height;
  if (frames > 1 && pixels > FRAME_PIXELS_MAX) throw tooMuch(pixels, "pixels or more in its frames", FRAME_PIXELS_MAX);
}

function requireInside({ width, height }: Area, frame: Area, x: number, y: number): void {
  requireSound(frame.width > 0 && frame.height > 0 && x + frame.width <= width && y + frame.height <= height);
}

function tooMuch(count: number, what: string, limit: number): AppError {
  const [has, most] = [count, limit].map((figure) => figure.toLocaleString("en"));
  return new AppError("INVALID_INPUT", `Cannot take the image: it has ${has} ${what}, the limit is ${most}`, { limit });
}

/** What the checksum of pixels begins with. */
const PIXELS_SUM = crc32("IDAT");

/** https://www.w3.org/TR/png-3/ */
function* walkPng(bytes: Bytes): Walk {
  yield* bytes.skip(8);
  const first = yield* bytes.take(8);
  requireSound(first.getUint32(0) === 13 && readName(first, 4) === "IHDR");
  const header = yield* bytes.take(13 + 4);
  const area = { width: header.getUint32(0), height: header.getUint32(4) };
  requireSize(area);
  let frames = 0;
  let hasPixels = false;
  for (;;) {
    const chunk = yield* bytes.take(8);
    const [length, name] = [chunk.getUint32(0), readName(chunk, 4)];
    requireSound(length < 2 ** 31 && /^[A-Za-z]{4}$/.test(name) && name !== "IHDR");
    if (name === "IEND") {
      requireSound(length === 0 && hasPixels);
      return yield* bytes.skip(4);
    }
    hasPixels ||= name === "IDAT";
    if (name === "acTL") {
      requireSound(length === 8);
      requireFrames(area, (yield* bytes.take(8)).getUint32(0));
    } else if (name === "fcTL") {
      requireSound(length === 26);
      const frame = yield* bytes.take(26);
      requireFrames(area, ++frames);
      const size = { width: frame.getUint32(4), height: frame.getUint32(8) };
      requireInside(area, size, frame.getUint32(12), frame.getUint32(16));
    } else if (name === "IDAT") {
      const sum = yield* bytes.checksum(length, PIXELS_SUM);
      requireSound((yield* bytes.take(4)).getUint32(0) === sum);
      continue;
    } else {
      yield* bytes.skip(length);
    }
    yield* bytes.skip(4); // its checksum, which decoders don't look at either
  }
}

/** https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B; between segments as lenient as libjpeg. */
function* walkJpeg(bytes: Bytes): Walk {
  yield* bytes.skip(2);
  let hasSize = false;
  let scans = 0;
  for (;;) {
    const marker = yield* nextMarker(bytes);
    if (marker === 0xd9) return requireSound(scans > 0);
    requireSound(marker !== 0xd8);
    if (marker === 0x01) continue; // alone, as those that `nextMarker` passes over
    const length = (yield* bytes.take(2)).getUint16(0);
    requireSound(length >= 2);
    if (isFrameHeader(marker)) {
      requireSound(!hasSize && length >= 8);
      const header = yield* bytes.take(6);
      requireSize({ width: header.getUint16(3), height: header.getUint16(1) });
      hasSize = true;
      yield* bytes.skip(length - 8);
    } else {
      requireSound(marker !== 0xda || hasSize);
      if (marker === 0xda && ++scans > SCANS_MAX) throw tooMuch(scans, "scans or more", SCANS_MAX);
      yield* bytes.skip(length - 2);
    }
  }
}

function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** Passes over what is compressed, where 0xFF is followed by 0 or belongs to a restart marker. */
function* nextMarker(bytes: Bytes): Walk<number> {
  for (;;) {
    const found = bytes.piece.indexOf(0xff, bytes.at);
    if (found === -1) {
      bytes.at = bytes.piece.length;
      yield;
      continue;
    }
    bytes.at = found + 1;
    let code = 0xff;
    while (code === 0xff) {
      code = bytes.at < bytes.piece.length ? bytes.piece[bytes.at++] ?? 0 : yield* bytes.byte();
    }
    if (code !== 0 && (code < 0xd0 || code > 0xd7)) return code;
  }
}

/** https://www.w3.org/Graphics/GIF/spec-gif89a.txt */
function* walkGif(bytes: Bytes): Walk {
  yield* bytes.skip(6);
  const screen = yield* bytes.take(7);
  const area = { width: screen.getUint16(0, true), height: screen.getUint16(2, true) };
  requireSize(area);
  yield* bytes.skip(colorTableBytes(screen.getUint8(4)));
  let frames = 0;
  for (;;) {
    const block = yield* bytes.byte();
    if (block === 0x3b) return requireSound(frames > 0);
    requireSound(block === 0x21 || block === 0x2c);
    if (block === 0x2c) {
      const frame = yield* bytes.take(9);
      requireFrames(area, ++frames);
      const size = { width: frame.getUint16(4, true), height: frame.getUint16(6, true) };
      requireInside(area, size, frame.getUint16(0, true), frame.getUint16(2, true));
      yield* bytes.skip(colorTableBytes(frame.getUint8(8)));
    }
    yield* bytes.skip(1); // the label of an extension, the code size of a frame
    yield* skipSubBlocks(bytes);
  }
}

function colorTableBytes(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

function* skipSubBlocks(bytes: Bytes): Walk {
  for (;;) {
    const length = bytes.at < bytes.piece.length ? bytes.piece[bytes.at++] ?? 0 : yield* bytes.byte();
    if (length === 0) return;
    if (bytes.at + length <= bytes.piece.length) bytes.at += length;
    else yield* bytes.skip(length);
  }
}

/** RFC 9649. */
function* walkWebp(bytes: Bytes): Walk {
  const end = 8 + (yield* bytes.take(12)).getUint32(4, true);
  let canvas: Area | null = null;
  let frames = 0;
  let isAnimated = false;
  let images = 0;
  while (bytes.position < end) {
    requireSound(bytes.position + 8 <= end);
    const chunk = yield* bytes.take(8);
    const [name, length] = [readName(chunk, 0), chunk.getUint32(4, true)];
    const chunkEnd = bytes.position + length;
    requireSound(chunkEnd <= end && (name === "VP8X") === (canvas === null && name !== "VP8 " && name !== "VP8L"));
    if (name === "VP8X") {
      requireSound(length >= 10);
      const header = yield* bytes.take(10);
      canvas = { width: readUint24(header, 4) + 1, height: readUint24(header, 7) + 1 };
      isAnimated = (header.getUint8(0) & 2) !== 0;
      requireSize(canvas);
    } else if (name === "ANMF") {
      requireSound(isAnimated && canvas !== null && length >= 16);
      if (canvas !== null) requireFrames(canvas, ++frames);
      yield* walkWebpFrame(bytes, canvas, chunkEnd);
      images++;
    } else if (name === "VP8 " || name === "VP8L") {
      const size: Area = yield* readWebpSize(bytes, name, length);
      requireSize(size);
      canvas ??= size;
      requireSound(!isAnimated && size.width === canvas.width && size.height === canvas.height);
      requireSound(++images === 1);
    }
    yield* bytes.skip(Math.min(chunkEnd + length % 2, end) - bytes.position);
  }
  requireSound(images > 0);
}

/** Checks the frame and the image in it: a decoder reserves memory for what either says. */
function* walkWebpFrame(bytes: Bytes, canvas: Area | null, end: number): Walk {
  const header = yield* bytes.take(16);
  const size = { width: readUint24(header, 6) + 1, height: readUint24(header, 9) + 1 };
  requireInside(canvas ?? size, size, 2 * readUint24(header, 0), 2 * readUint24(header, 3));
  let images = 0;
  while (bytes.position < end) {
    requireSound(bytes.position + 8 <= end);
    const chunk = yield* bytes.take(8);
    const [name, length] = [readName(chunk, 0), chunk.getUint32(4, true)];
    const chunkEnd = bytes.position + length;
    requireSound(chunkEnd <= end);
    if (name === "VP8 " || name === "VP8L") {
      const image = yield* readWebpSize(bytes, name, length);
      requireSound(image.width === size.width && image.height === size.height && ++images === 1);
    }
    yield* bytes.skip(Math.min(chunkEnd + length % 2, end) - bytes.position);
  }
  requireSound(images === 1);
}

function* readWebpSize(bytes: Bytes, name: "VP8 " | "VP8L", length: number): Walk<Area> {
  requireSound(length >= 10);
  const header = yield* bytes.take(10);
  if (name === "VP8 ") {
    const isKeyFrame = (header.getUint8(0) & 1) === 0;
    requireSound(isKeyFrame && readUint24(header, 3) === 0x2a019d);
    return { width: header.getUint16(6, true) & 0x3fff, height: header.getUint16(8, true) & 0x3fff };
  }
  const bits = header.getUint32(1, true);
  requireSound(header.getUint8(0) === 0x2f && bits >>> 29 === 0);
  return { width: (bits & 0x3fff) + 1, height: (bits >>> 14 & 0x3fff) + 1 };
}
