/** Images made by code: sound ones of every kind, and those that are made to hurt a decoder. */
import { Buffer } from "node:buffer";
import { crc32, deflateSync } from "node:zlib";
import sharp, { type Sharp } from "sharp";
import type { ImageType } from "../../src/uploads/image_protocol.ts";
import { type Bytes, joinBytes } from "./bytes.ts";

export interface SoundImage {
  readonly what: string;
  readonly mediaType: ImageType;
  readonly bytes: Bytes;
}

/** A sound image of every type, in its usual forms. */
export async function makeSoundImages(): Promise<SoundImage[]> {
  const still = sharp(noise(40 * 30 * 3), { raw: { width: 40, height: 30, channels: 3 } });
  const clear = sharp(noise(40 * 30 * 4), { raw: { width: 40, height: 30, channels: 4 } });
  const moving = sharp(noise(20 * 40 * 3), { raw: { width: 20, height: 40, channels: 3, pageHeight: 10 } });
  const made = [
    ["a JPEG", "image/jpeg", still.clone().jpeg()],
    ["a progressive JPEG", "image/jpeg", still.clone().jpeg({ progressive: true })],
    ["a JPEG with a rotation", "image/jpeg", still.clone().withMetadata({ orientation: 6 }).jpeg()],
    ["a PNG", "image/png", clear.clone().png()],
    ["an interlaced PNG", "image/png", clear.clone().png({ progressive: true })],
    ["a PNG with a palette", "image/png", clear.clone().png({ palette: true })],
    ["a GIF", "image/gif", clear.clone().gif()],
    ["an animated GIF", "image/gif", moving.clone().gif({ delay: 100 })],
    ["a WebP", "image/webp", still.clone().webp()],
    ["a WebP without loss", "image/webp", clear.clone().webp({ lossless: true })],
    ["a WebP with transparency", "image/webp", clear.clone().webp()],
    ["an animated WebP", "image/webp", moving.clone().webp({ delay: 100 })],
  ] as const;
  const images: SoundImage[] = [];
  for (const [what, mediaType, pipeline] of made) {
    images.push({ what, mediaType, bytes: new Uint8Array(await pipeline.toBuffer()) });
  }
  return [...images, { what: "an animated PNG", mediaType: "image/png", bytes: makeAnimatedPng(8, 8, 3) }];
}

/** A JPEG of a phone: taken upright, with the place where it was taken. */
export async function makePhonePhoto(): Promise<Bytes> {
  const pixels = sharp(noise(60 * 40 * 3), { raw: { width: 60, height: 40, channels: 3 } });
  const gps = {
    GPSLatitudeRef: "N",
    GPSLatitude: "52/1 31/1 0/1",
    GPSLongitudeRef: "E",
    GPSLongitude: "13/1 24/1 0/1",
  };
  return new Uint8Array(await pixels.withExif({ IFD3: gps }).withMetadata({ orientation: 6 }).jpeg().toBuffer());
}

/** One colour of that size: its pixels are packed a thousandfold. */
export function makePng(width: number, height: number, more: readonly Uint8Array[] = []): Bytes {
  const row = Math.ceil(width / 8) + 1;
  return joinBytes(PNG_SIGNATURE, pngHeader(width, height), ...more, chunk("IDAT", packZeros(row * height)), IEND);
}

/** A PNG that says how large it is, and has no pixels. */
export function makePngHeader(width: number, height: number): Bytes {
  return joinBytes(PNG_SIGNATURE, pngHeader(width, height), chunk("IDAT", new Uint8Array(0)), IEND);
}

export function makeAnimatedPng(width: number, height: number, frames: number): Bytes {
  const parts = [PNG_SIGNATURE, pngHeader(width, height), chunk("acTL", joinBytes(uint32(frames), uint32(0)))];
  const pixels = deflateSync(new Uint8Array((Math.ceil(width / 8) + 1) * height));
  let sequence = 0;
  for (let frame = 0; frame < frames; frame++) {
    parts.push(chunk("fcTL", joinBytes(uint32(sequence++, width, height, 0, 0), new Uint8Array([0, 1, 0, 10, 0, 0]))));
    parts.push(frame === 0 ? chunk("IDAT", pixels) : chunk("fdAT", joinBytes(uint32(sequence++), pixels)));
  }
  return joinBytes(...parts, IEND);
}

/** Chunks of a PNG whose text, or colour profile, unpacks to so many bytes of nothing. */
export function makeBombs(byteSize: number): Record<"zTXt" | "iTXt" | "iCCP", Bytes> {
  const zeros = packZeros(byteSize);
  return {
    zTXt: chunk("zTXt", joinBytes("Comment\0\0", zeros)),
    iTXt: chunk("iTXt", joinBytes("Comment\0\x01\0\0\0", zeros)),
    iCCP: chunk("iCCP", joinBytes("profile\0\0", zeros)),
  };
}

/** Frames of one pixel each on a screen of that size. */
export function makeGif(width: number, height: number, frames: number, frame = [0, 0, 1, 1]): Bytes {
  const screen = joinBytes(
    "GIF89a",
    uint16(width, height),
    new Uint8Array([0x80, 0, 0, 0, 0, 0, 255, 255, 255]),
  );
  const one = joinBytes(new Uint8Array([0x2c]), uint16(...frame), new Uint8Array([0, 2, 2, 0x44, 1, 0]));
  return joinBytes(screen, ...Array.from({ length: frames }, () => one), new Uint8Array([0x3b]));
}

/** A progressive JPEG that goes over its pixels again and again: its last scan is repeated. */
export async function makeManyScans(scans: number, pixels = smallNoise()): Promise<Bytes> {
  const image = await pixels.jpeg({ progressive: true }).toBuffer();
  const starts: number[] = [];
  for (let at = image.indexOf(SCAN); at !== -1; at = image.indexOf(SCAN, at + 2)) starts.push(at);
  const last = image.subarray(starts.at(-1), image.length - 2);
  const added = Array.from({ length: scans - starts.length }, () => last);
  return joinBytes(image.subarray(0, image.length - 2), ...added, image.subarray(image.length - 2));
}

/** Puts together the chunks of a WebP. */
export function makeWebp(...chunks: readonly (readonly [name: string, data: Uint8Array])[]): Bytes {
  const body = joinBytes(
    ...chunks.map(([name, data]) => joinBytes(name, little(data.length, 4), data, new Uint8Array(data.length % 2))),
  );
  return joinBytes("RIFF", little(body.length + 4, 4), "WEBP", body);
}

/** A header of an extended WebP. */
export function webpCanvas(width: number, height: number, isAnimated: boolean): readonly [string, Uint8Array] {
  return ["VP8X", joinBytes(little(isAnimated ? 2 : 0, 4), little(width - 1, 3), little(height - 1, 3))];
}

/** A frame of an animated WebP, which holds an image that says it is of the second size. */
export function webpFrame(
  [width, height]: readonly [number, number],
  [imageWidth, imageHeight] = [width, height],
  [x, y] = [0, 0],
): readonly [string, Uint8Array] {
  const bits = (imageWidth - 1) + (imageHeight - 1) * 2 ** 14;
  const image = joinBytes("VP8L", little(10, 4), new Uint8Array([0x2f]), little(bits, 4), new Uint8Array(5));
  const sizes = joinBytes(
    little(x / 2, 3),
    little(y / 2, 3),
    little(width - 1, 3),
    little(height - 1, 3),
    little(10, 4),
  );
  return ["ANMF", joinBytes(sizes, image)];
}

const PNG_SIGNATURE = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const IEND = chunk("IEND", new Uint8Array(0));
const SCAN = Buffer.from([0xff, 0xda]);

function pngHeader(width: number, height: number): Uint8Array {
  return chunk("IHDR", joinBytes(uint32(width, height), new Uint8Array([1, 0, 0, 0, 0])));
}

function chunk(name: string, data: Uint8Array): Bytes {
  const body = joinBytes(name, data);
  return joinBytes(uint32(data.length), body, uint32(crc32(body)));
}

function packZeros(byteSize: number): Uint8Array {
  return new Uint8Array(deflateSync(new Uint8Array(byteSize), { level: 9 }));
}

function uint32(...values: readonly number[]): Uint8Array {
  return joinBytes(...values.map((value) => little(value, 4).reverse()));
}

function uint16(...values: readonly number[]): Uint8Array {
  return joinBytes(...values.map((value) => little(value, 2)));
}

function little(value: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Math.floor(value / 256 ** index) % 256);
}

function smallNoise(): Sharp {
  return sharp(noise(64 * 64 * 3), { raw: { width: 64, height: 64, channels: 3 } });
}

function noise(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * index * 31 + index * 7) % 251);
}
