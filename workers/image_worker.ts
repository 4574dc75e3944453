/** Decodes images, in a process of its own that may be killed at any moment: what comes in is a stranger's file. It reads
 * requests on stdin and answers on stdout, one at a time, and has neither files, network nor secrets. */
import { createHash } from "node:crypto";
import sharp, { type Metadata, type Sharp, type SharpOptions } from "sharp";
import { rgbaToThumbHash } from "thumbhash";
import {
  encodeHeader,
  FITS,
  FRAME_PIXELS_MAX,
  IMAGE_PIXELS_MAX,
  IMAGE_SIDE_MAX,
  type ImageRequest,
  type ImageType,
  type MadeRendition,
  MessageReader,
  PICTURE_SIDE,
  type WorkerReady,
} from "../src/uploads/image_protocol.ts";

/** Longest side that a ThumbHash takes. */
const THUMBHASH_SIDE = 100;
/** Of what is shown in lists, and of what is kept as the original. */
const [THUMB_QUALITY, ORIGINAL_QUALITY] = [80, 88];
/** Of 0 to 6. Of 12 megapixels like a photo's 4, the default, takes 1.3 s and 1 takes 0.5 s, for files of the same size. */
const ORIGINAL_WEBP_EFFORT = 1;

const FORMATS: Readonly<Record<ImageType, string>> = {
  "image/jpeg": "jpeg",
  "image/png": "png",
  "image/gif": "gif",
  "image/webp": "webp",
};

/** Of one frame; read from top to bottom, so that not all of it has to be in memory. */
const LIMITS = { limitInputPixels: IMAGE_PIXELS_MAX, sequentialRead: true } as const satisfies SharpOptions;
const INSIDE = { fit: "inside", withoutEnlargement: true } as const;

/** What some cameras get wrong, and every viewer overlooks. */
const HARMLESS = /Invalid SOS parameters for sequential JPEG|extraneous bytes before marker/;

/** An image that this process has understood, and does not want. */
class Refusal extends Error {}

interface Made {
  readonly size: MadeRendition["size"];
  readonly mediaType: ImageType;
  readonly bytes: Uint8Array<ArrayBufferLike>;
}

interface Processed {
  readonly width: number;
  readonly height: number;
  readonly thumbhash: Uint8Array;
  readonly made: readonly Made[];
}

/** Upright pixels of the first frame, no larger than its largest thumbnail. */
interface Pixels {
  readonly data: Uint8Array<ArrayBufferLike>;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
}

if (import.meta.main) {
  restrictCodecs();
  await write(encodeHeader({ outcome: "READY" } satisfies WorkerReady));
  const requests = new MessageReader(Deno.stdin.readable);
  while (true) {
    const request = await requests.readHeader<ImageRequest>();
    if (request === null) break;
    await answer(request, await requests.readAll(request.byteSize));
  }
}

/** Nothing but the decoders for what is taken: libvips knows dozens, not all of them made for strangers' files. */
function restrictCodecs(): void {
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({
    operation: ["Jpeg", "Png", "Nsgif", "Webp"].map((name) => `VipsForeignLoad${name}Buffer`),
  });
  sharp.cache(false);
  sharp.concurrency(1); // the server starts as many workers as it wants to have busy
}

async function answer(request: ImageRequest, file: Uint8Array): Promise<void> {
  const result = await processImage(request, file).catch((error) => ({ refused: String(error?.message ?? error) }));
  // Whatever the codecs say of a file, they will say again: there is no failure but a verdict.
  if ("refused" in result) {
    return await write(encodeHeader({ outcome: "REFUSED", reason: result.refused.slice(0, 500) }));
  }
  const { width, height, made } = result;
  const renditions = made.map(({ size, mediaType, bytes }): MadeRendition => ({
    size,
    mediaType,
    byteSize: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  }));
  const thumbhash = result.thumbhash.toBase64();
  await write(encodeHeader({ outcome: "PROCESSED", width, height, thumbhash, renditions }));
  for (const { bytes } of made) await write(bytes);
}

async function processImage({ purpose, mediaType }: ImageRequest, file: Uint8Array): Promise<Processed> {
  const metadata = await checkedMetadata(file, mediaType);
  try {
    return await decode(file, "warning");
  } catch (error) {
    if (!(error instanceof Error && HARMLESS.test(error.message))) throw error;
    return await decode(file, "error");
  }

  function decode(file: Uint8Array, failOn: "warning" | "error"): Promise<Processed> {
    const open = (options: SharpOptions = {}) => sharp(file, { ...LIMITS, failOn, ...options });
    return purpose === "PICTURE" ? makePicture(open, metadata) : makeAttachment(open, { mediaType, metadata });
  }
}

/** Everything that the header says is checked before a pixel is decoded. */
async function checkedMetadata(file: Uint8Array, mediaType: ImageType): Promise<Metadata> {
  const metadata = await sharp(file, LIMITS).metadata();
  const { format, width, height, pages = 1 } = metadata;
  if (format !== FORMATS[mediaType]) throw new Refusal(`it is ${format}, not ${mediaType}`);
  if (Math.max(width, height) > IMAGE_SIDE_MAX) throw new Refusal(`it has ${width} x ${height} pixels`);
  if (width * height > IMAGE_PIXELS_MAX) throw new Refusal(`it has ${width * height} pixels`);
  if (pages > 1 && width * height * pages > FRAME_PIXELS_MAX) throw new Refusal(`it has ${pages} frames`);
  return metadata;
}

type Open = (options?: SharpOptions) => Sharp;

async function makeAttachment(
  open: Open,
  { mediaType, metadata }: { readonly mediaType: ImageType; readonly metadata: Metadata },
): Promise<Processed> {
  const isAnimated = (metadata.pages ?? 1) > 1;
  const upright = isAnimated ? open() : open().autoOrient(); // no viewer turns an animation
  const large = await toPixels(upright.resize({ width: FITS.LARGE, height: FITS.LARGE, ...INSIDE }));
  const original = isAnimated
    ? open({ animated: true, limitInputPixels: FRAME_PIXELS_MAX })
    : open().autoOrient().toColorspace("srgb");
  const { data: bytes, info } = await encode(original, mediaType).toBuffer({ resolveWithObject: true });
  const thumbs = [];
  for (const size of ["LARGE", "MEDIUM", "SMALL"] as const) thumbs.push(await makeThumb(large, size));
  return {
    width: info.width,
    height: info.pageHeight ?? info.height,
    thumbhash: await hash(large),
    made: [{ size: "ORIGINAL", mediaType, bytes }, ...thumbs],
  };
}

async function makePicture(open: Open, { autoOrient }: Metadata): Promise<Processed> {
  const side = Math.min(PICTURE_SIDE, autoOrient.width, autoOrient.height);
  const square = await toPixels(open().autoOrient().resize({ width: side, height: side, fit: "cover" }));
  return {
    width: square.width,
    height: square.height,
    thumbhash: await hash(square),
    made: [await makeThumb(square, "MEDIUM"), await makeThumb(square, "SMALL")],
  };
}

/** Decoded once: every smaller size is made of these. */
async function toPixels(image: Sharp): Promise<Pixels> {
  const { data, info } = await image.toColorspace("srgb").raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

function fromPixels({ data, width, height, channels }: Pixels): Sharp {
  return sharp(data, { raw: { width, height, channels } });
}

async function makeThumb(pixels: Pixels, size: keyof typeof FITS): Promise<Made> {
  const image = fromPixels(pixels).resize({ width: FITS[size], height: FITS[size], ...INSIDE });
  return { size, mediaType: "image/webp", bytes: await image.webp({ quality: THUMB_QUALITY }).toBuffer() };
}

async function hash(pixels: Pixels): Promise<Uint8Array> {
  const image = fromPixels(pixels).resize({ width: THUMBHASH_SIDE, height: THUMBHASH_SIDE, ...INSIDE });
  const { data, info } = await image.toColorspace("srgb").ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return rgbaToThumbHash(info.width, info.height, data);
}

/** Without metadata: sharp keeps none unless it is asked to. */
function encode(image: Sharp, mediaType: ImageType): Sharp {
  switch (mediaType) {
    case "image/jpeg":
      return image.jpeg({ quality: ORIGINAL_QUALITY });
    case "image/png":
      return image.png();
    case "image/gif":
      return image.gif({ effort: 1 });
    case "image/webp":
      return image.webp({ quality: ORIGINAL_QUALITY, effort: ORIGINAL_WEBP_EFFORT });
  }
}

async function write(bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await Deno.stdout.write(bytes.subarray(written));
}
