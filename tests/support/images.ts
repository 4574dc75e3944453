/** Pixels for tests, what a pool makes of them, and what is to be seen of that. */
import sharp, { type Sharp } from "sharp";
import { ImagePool } from "../../src/uploads/image_pool.ts";
import type { ImageType, MadeRendition, ProcessedImage } from "../../src/uploads/image_protocol.ts";
import type { Bytes } from "./bytes.ts";

export type Color = readonly [red: number, green: number, blue: number];

export interface Result extends ProcessedImage {
  readonly files: ReadonlyMap<MadeRendition["size"], Bytes>;
}

/** Has the image made, and returns all that came back. Throws as `ImagePool.process`. */
export async function processImage(
  pool: ImagePool,
  file: Bytes,
  { mediaType = "image/png", purpose = "ATTACHMENT" }: {
    readonly mediaType?: ImageType;
    readonly purpose?: "ATTACHMENT" | "PICTURE";
  } = {},
): Promise<Result> {
  const files = new Map<MadeRendition["size"], Bytes>();
  const request = { purpose, mediaType, byteSize: file.length };
  const processed = await pool.process(request, new Blob([file]).stream(), async ({ size }, body) => {
    files.set(size, await new Response(body as ReadableStream<Bytes>).bytes());
  });
  return { ...processed, files };
}

export const [RED, GREEN, BLUE, YELLOW]: [Color, Color, Color, Color] = [
  [220, 30, 30],
  [30, 200, 30],
  [30, 30, 220],
  [230, 220, 40],
];

/** Red and green above, blue and yellow below. */
export function quarters(width: number, height: number): Sharp {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [left, right] = y < height / 2 ? [RED, GREEN] : [BLUE, YELLOW];
      data.set(x < width / 2 ? left : right, (y * width + x) * 3);
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** The image as a camera stores it that was held another way, with the note how to turn it. */
export async function stored(upright: Sharp, orientation: number): Promise<Bytes> {
  const png = await upright.png().toBuffer();
  const turned = async (angle: number) => sharp(await sharp(png).rotate(angle).png().toBuffer());
  const ways: Record<number, () => Promise<Sharp> | Sharp> = {
    1: () => sharp(png),
    2: () => sharp(png).flop(),
    3: () => turned(180),
    4: () => sharp(png).flip(),
    5: async () => (await turned(90)).flop(),
    6: () => turned(270),
    7: async () => (await turned(90)).flip(),
    8: () => turned(90),
  };
  const way = ways[orientation];
  if (!way) throw new Error(`There is no orientation ${orientation}`);
  return asBytes((await way()).withMetadata({ orientation }).jpeg({ quality: 95 }));
}

/** Blurred noise, which compresses like a photo. */
export async function photo(width: number, height: number): Promise<Sharp> {
  const noise = { type: "gaussian", mean: 128, sigma: 60 } as const;
  const image = sharp({ create: { width, height, channels: 3, background: "#888", noise } }).blur(1.5);
  return sharp(await image.raw().toBuffer(), { raw: { width, height, channels: 3 } });
}

/** Frames of one colour each, 100 ms, 200 ms, … long, for ever. */
export function animation(colors: readonly Color[], side = 32): Sharp {
  const data = new Uint8Array(colors.flatMap((color) => Array.from({ length: side * side }, () => color).flat()));
  return sharp(data, { raw: { width: side, height: side * colors.length, channels: 3, pageHeight: side } });
}

export async function asBytes(image: Sharp): Promise<Bytes> {
  return new Uint8Array(await image.toBuffer());
}

/** Colour and opacity of the pixel at that share of width and height. */
export async function pixelAt(file: Bytes, x: number, y: number): Promise<readonly number[]> {
  const { data, info } = await sharp(file).toColorspace("srgb").ensureAlpha().raw().toBuffer({
    resolveWithObject: true,
  });
  const at = (Math.floor(y * info.height) * info.width + Math.floor(x * info.width)) * 4;
  return [...data.subarray(at, at + 4)];
}

export function isNear(pixel: readonly number[], color: readonly number[], tolerance = 24): boolean {
  return color.every((value, index) => Math.abs((pixel[index] ?? Infinity) - value) <= tolerance);
}

export function contains(file: Bytes, text: string): boolean {
  return new TextDecoder("latin1").decode(file).includes(text);
}

/** Most memory that the process has held so far (Linux). */
export async function peakBytes(pid: number): Promise<number> {
  return Number(/VmHWM:\s+(\d+) kB/.exec(await lookAt(pid, "status"))?.[1]) * 1024;
}

/** What the process was started with (Linux). */
export async function environmentOf(pid: number): Promise<string[]> {
  return (await lookAt(pid, "environ")).split("\0").map((line) => line.split("=")[0] ?? "").filter(Boolean);
}

// Another process looks: a test that could read `/proc` would need all permissions.
async function lookAt(pid: number, name: string): Promise<string> {
  const look = `console.log(Deno.readTextFileSync("/proc/${pid}/${name}").trim())`;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", look] }).output();
  return new TextDecoder().decode(stdout).trim();
}
