/** What the server makes of files: their type by content, and images that are refused before anything decodes them. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { AppError } from "../src/errors.ts";
import { inspectFile, type Inspection } from "../src/uploads/inspection.ts";
import { encode, joinBytes } from "./support/bytes.ts";
import {
  makeAnimatedPng,
  makeBombs,
  makeGif,
  makeManyScans,
  makePhonePhoto,
  makePng,
  makePngHeader,
  makeSoundImages,
  makeWebp,
  webpCanvas,
  webpFrame,
} from "./support/image_bytes.ts";
import { seededRandom } from "./support/random.ts";

const BROKEN = "Cannot take the file: the image is incomplete or damaged";

/** The file in chunks of these sizes, over and over; whole by default. */
function streamOf(bytes: Uint8Array, nextSize: () => number = () => bytes.length): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const end = at + Math.max(1, nextSize());
      controller.enqueue(bytes.subarray(at, end));
      at = end;
    },
  });
}

function inspect(bytes: Uint8Array, filename = "file", nextSize?: () => number): Promise<Inspection> {
  return inspectFile(streamOf(bytes, nextSize), filename);
}

/** The error it is refused with. */
async function refusal(bytes: Uint8Array, filename?: string, nextSize?: () => number): Promise<AppError> {
  const error = await inspect(bytes, filename, nextSize).then(() => null, (error) => error);
  assert.ok(error instanceof AppError, `${error}`);
  return error;
}

Deno.test("a sound image of every kind is told by its content, however its bytes come and whatever it is called", async () => {
  const random = seededRandom(1);
  const sizes = { whole: undefined, bytes: () => 1, some: () => Math.floor(random() * 300) };
  for (const { what, mediaType, bytes } of await makeSoundImages()) {
    const sha256 = new Uint8Array(createHash("sha256").update(bytes).digest());
    const expected: Inspection = { byteSize: bytes.length, sha256, mediaType, mediaKind: "IMAGE" };
    for (const [how, nextSize] of Object.entries(sizes)) {
      for (const filename of ["photo.png", "photo", "notes.txt"]) {
        assert.deepEqual(await inspect(bytes, filename, nextSize), expected, `${what} ${how} as ${filename}`);
      }
    }
  }
});

Deno.test("a photo of a phone with its place, a rotation and a script behind its end is an image like any other", async () => {
  const photo = joinBytes(await makePhonePhoto(), "<script>alert(1)</script>");
  const { byteSize, mediaType, mediaKind } = await inspect(photo, "IMG_1.jpg");
  assert.deepEqual([byteSize, mediaType, mediaKind], [photo.length, "image/jpeg", "IMAGE"]);
});

Deno.test("an image with too many pixels, frames or scans is refused by its headers, with the figure and the limit", async () => {
  const many = Array.from({ length: 60 }, () => webpFrame([1_000, 1_000]));
  const tooLarge: readonly (readonly [what: string, bytes: Uint8Array, limit: number, figure: string])[] = [
    ["a PNG of 48 kB", makePng(20_000, 20_000), 8_000, "20,000 pixels on one side"],
    ["a header of a PNG", makePngHeader(60_000, 60_000), 8_000, "60,000 pixels on one side"],
    ["a PNG within the sides", makePngHeader(8_000, 3_001), 24_000_000, "24,008,000 pixels"],
    ["an animated PNG", makeAnimatedPng(4_000, 4_000, 4), 50_000_000, "64,000,000 pixels or more in its frames"],
    ["an animated PNG of tiny frames", makeAnimatedPng(1, 1, 2_001), 2_000, "2,001 frames or more"],
    ["a GIF of 1 kB", makeGif(4_000, 4_000, 50), 50_000_000, "64,000,000 pixels or more in its frames"],
    ["a GIF of tiny frames", makeGif(1, 1, 2_001), 2_000, "2,001 frames or more"],
    ["a GIF", makeGif(65_535, 1, 1), 8_000, "65,535 pixels on one side"],
    ["a JPEG of 500 scans", await makeManyScans(500), 64, "65 scans or more"],
    ["a WebP", makeWebp(webpCanvas(9_000, 10, false)), 8_000, "9,000 pixels on one side"],
    ["an animated WebP", makeWebp(webpCanvas(1_000, 1_000, true), ...many), 50_000_000, "51,000,000 pixels or more"],
  ];
  for (const [what, bytes, limit, figure] of tooLarge) {
    const { code, message, details } = await refusal(bytes);
    assert.deepEqual([code, details.limit], ["INVALID_INPUT", limit], what);
    assert.ok(message.includes(`it has ${figure}`), `${what}: ${message}`);
  }
});

Deno.test("an image just within the limits is taken", async () => {
  const within = [
    makePng(8_000, 3_000),
    makeAnimatedPng(4_000, 4_000, 3),
    makeGif(5_000, 5_000 / 5, 10),
    makeGif(1, 1, 2_000),
    await makeManyScans(64),
    makeWebp(webpCanvas(1_000, 1_000, true), ...Array.from({ length: 50 }, () => webpFrame([1_000, 1_000]))),
  ];
  for (const bytes of within) assert.equal((await inspect(bytes)).mediaKind, "IMAGE");
});

Deno.test("compressed text in an image is not unpacked, so it does no harm and is taken", async () => {
  const bytes = makePng(10, 10, [makeBombs(50_000_000).zTXt]);
  assert.ok(bytes.length < 60_000);
  assert.equal((await inspect(bytes)).mediaKind, "IMAGE");
});

Deno.test("an image that ends too early is refused, wherever it is cut", async () => {
  for (const { what, bytes } of await makeSoundImages()) {
    for (let end = 1; end < bytes.length - 1; end += 7) {
      const { code, message } = await refusal(bytes.subarray(0, end), "photo.png");
      assert.equal(code, "UNSUPPORTED_MEDIA_TYPE", `${what} cut at ${end} of ${bytes.length}`);
      // Of the first bytes alone nobody can tell what they are of.
      if (end >= 12) assert.equal(message, BROKEN, `${what} cut at ${end} of ${bytes.length}`);
    }
  }
});

Deno.test("a PNG whose pixels were damaged on the way is refused, whichever byte it was", async () => {
  const sound = makePng(50, 50);
  const pixels = String.fromCharCode(...sound).indexOf("IDAT") + 4;
  for (const at of [pixels, pixels + 5, sound.length - 17]) {
    const damaged = sound.map((byte, index) => index === at ? byte ^ 0x10 : byte);
    await assert.rejects(inspect(damaged, "a.png", () => 7), { code: "UNSUPPORTED_MEDIA_TYPE", message: BROKEN });
  }
  assert.equal((await inspect(sound, "a.png", () => 7)).mediaKind, "IMAGE");
});

Deno.test("an image whose parts contradict each other is refused", async () => {
  const [jpeg, png] = [await makeManyScans(10), makePng(10, 10)];
  const patched = (bytes: Uint8Array, at: number, ...values: number[]) => {
    const copy = bytes.slice();
    copy.set(values, at);
    return copy;
  };
  const sizeAt = Array.from(jpeg.keys()).find((at) => jpeg[at] === 0xff && jpeg[at + 1] === 0xc2) ?? 0;
  const sizes = jpeg.subarray(sizeAt, sizeAt + 19);
  const { length } = jpeg;
  const broken: Readonly<Record<string, Uint8Array>> = {
    "a PNG without its header": joinBytes(png.subarray(0, 8), png.subarray(8 + 25)),
    "a PNG with a chunk of 4 GB": patched(png, 33, 0xff, 0xff, 0xff, 0xff),
    "a PNG with a chunk that reaches into the next": patched(png, 36, 40),
    "a PNG without pixels": joinBytes(png.subarray(0, 8 + 25), png.subarray(-12)),
    "a PNG of no width": makePng(0, 10),
    "a PNG with two headers": joinBytes(png.subarray(0, 33), png.subarray(8)),
    "a JPEG without a size": joinBytes(jpeg.subarray(0, sizeAt), jpeg.subarray(sizeAt + 19)),
    "a JPEG with two sizes": joinBytes(jpeg.subarray(0, sizeAt), sizes, jpeg.subarray(sizeAt)),
    "a JPEG of no height": patched(jpeg, sizeAt + 5, 0, 0),
    "a JPEG with a segment of no length": patched(jpeg, 4, 0, 1),
    "a JPEG with a segment beyond its end": patched(jpeg, 4, 0xff, 0xff),
    "a JPEG without an image": joinBytes(jpeg.subarray(0, 2), jpeg.subarray(length - 2)),
    "a GIF without frames": makeGif(10, 10, 0),
    "a GIF with a frame beyond its screen": makeGif(10, 10, 1, [5, 5, 6, 5]),
    "a GIF with a block that does not exist": patched(makeGif(10, 10, 2), 19, 0x99),
    "a WebP without an image": makeWebp(webpCanvas(10, 10, false)),
    "a WebP without anything": makeWebp(),
    "a WebP that begins with a frame": makeWebp(webpFrame([10, 10])),
    "a WebP with a frame beyond its canvas": makeWebp(webpCanvas(10, 10, true), webpFrame([6, 6], [6, 6], [6, 0])),
    "a WebP with an image larger than its frame": makeWebp(webpCanvas(10, 10, true), webpFrame([6, 6], [16_000, 6])),
    "a WebP that is still and has frames": makeWebp(webpCanvas(10, 10, false), webpFrame([10, 10])),
    "a WebP with a chunk beyond its end": patched(makeWebp(webpCanvas(9, 9, true), webpFrame([9, 9])), 34, 0xff),
  };
  for (const [what, bytes] of Object.entries(broken)) {
    const { code, message } = await refusal(bytes);
    assert.deepEqual([code, message], ["UNSUPPORTED_MEDIA_TYPE", BROKEN], what);
  }
});

Deno.test("what is called an image and is none is refused by what it is; under its own name it is a file like any other", async () => {
  const page = encode("<!doctype html><script>alert(1)</script>");
  const drawing = encode(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`);
  const heic = joinBytes(new Uint8Array([0, 0, 0, 24]), encode("ftypheic\0\0\0\0mif1heic"));
  const files = [
    [page, "page.html", "text/plain"],
    [drawing, "drawing.svg", "text/plain"],
    [heic, "photo.heic", "image/heic"],
    [new Uint8Array([1, 0, 2]), "noise", "of no type that is known here"],
  ] as const;
  for (const [bytes, own, content] of files) {
    for (const extension of [".png", ".jpg", ".JPEG", ".gif", ".webp", ".png "]) {
      const { code, message } = await refusal(bytes, `a${extension}`);
      const expected = `Cannot take the file: its name says image (${extension.trim()}), its content is ${content}`;
      assert.deepEqual([code, message], ["UNSUPPORTED_MEDIA_TYPE", expected]);
    }
    assert.equal((await inspect(bytes, own)).mediaKind, "OTHER", own);
  }
});

Deno.test("no file is reported as something that a browser would run", async () => {
  const byteOrderMark = new Uint8Array([0xef, 0xbb, 0xbf]);
  const page = encode("<html><body onload=alert(1)>");
  const drawing = encode(`<svg xmlns="http://www.w3.org/2000/svg"/>`);
  const xml = encode(`<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>`);
  const wide = (bytes: Uint8Array) =>
    joinBytes(new Uint8Array([0xff, 0xfe]), ...[...bytes].map((b) => Uint8Array.of(b, 0)));
  for (const bytes of [page, drawing, xml, encode("alert(1)"), joinBytes(byteOrderMark, xml)]) {
    assert.equal((await inspect(bytes, "page.html")).mediaType, "text/plain");
    assert.equal((await inspect(wide(bytes), "page.html")).mediaType, "application/octet-stream");
  }
});

Deno.test("other files have the type of their content", async () => {
  const files: readonly (readonly [string, Uint8Array, mediaType: string, mediaKind: string])[] = [
    ["a PDF", encode("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "application/pdf", "OTHER"],
    ["an empty archive", joinBytes(encode("PK\x05\x06"), new Uint8Array(18)), "application/zip", "OTHER"],
    ["a gzip file", new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0]), "application/gzip", "OTHER"],
    ["a bitmap", joinBytes(encode("BM"), new Uint8Array(60)), "image/bmp", "OTHER"],
    ["a film", joinBytes(new Uint8Array([0, 0, 0, 24]), encode("ftypmp42\0\0\0\0mp42isom")), "video/mp4", "VIDEO"],
    ["music", joinBytes(encode("ID3\x04\0\0\0\x7f\x7f\x7f"), new Uint8Array(5000)), "audio/mpeg", "AUDIO"],
    ["speech", joinBytes(encode("OggS"), new Uint8Array(24), encode("OpusHead")), "audio/ogg", "AUDIO"],
    ["text", encode("Grüße, 世界"), "text/plain", "OTHER"],
    ["long text, cut within a character", encode("é".repeat(5000) + "x"), "text/plain", "OTHER"],
    ["text that begins like a bitmap", encode("BMW is a car"), "text/plain", "OTHER"],
    ["text that begins like music", encode("FORM 17, to be filled in"), "text/plain", "OTHER"],
    ["text that begins like an animation", encode("GIFT for you"), "text/plain", "OTHER"],
    ["anything else", new Uint8Array([1, 0, 2, 0, 3]), "application/octet-stream", "OTHER"],
    ["one byte", new Uint8Array([0xff]), "application/octet-stream", "OTHER"],
  ];
  for (const [what, bytes, mediaType, mediaKind] of files) {
    const found = await inspect(bytes, "file.dat");
    assert.deepEqual([found.mediaType, found.mediaKind, found.byteSize], [mediaType, mediaKind, bytes.length], what);
    assert.deepEqual(await inspect(bytes, "file.dat", () => 1), found, `${what}, byte by byte`);
  }
});

Deno.test("an empty file is refused", async () => {
  assert.equal((await refusal(new Uint8Array(0))).code, "EMPTY");
  assert.equal((await refusal(new Uint8Array(0), "photo.png")).code, "EMPTY");
});

Deno.test("what is refused is not read further, and a body that breaks off fails with its own error", async () => {
  const bomb = joinBytes(makePngHeader(60_000, 60_000), new Uint8Array(4096));
  let reason: unknown = "not canceled";
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(bomb),
    cancel: (given) => void (reason = given),
  });
  await assert.rejects(inspectFile(endless, "bomb.png"), { code: "INVALID_INPUT" });
  assert.notEqual(reason, "not canceled");

  const broken = new Error("the disk is gone");
  for (const bytes of [new Uint8Array(0), makePng(10, 10), new Uint8Array(100_000)]) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        if (bytes.length > 0) controller.enqueue(bytes);
      },
      pull: (controller) => controller.error(broken),
    });
    await assert.rejects(inspectFile(body, "file"), broken);
  }
});

Deno.test("whatever the bytes, a file is either taken or refused with a reason", async () => {
  const random = seededRandom(4);
  const images = await makeSoundImages();
  for (let round = 0; round < 3_000; round++) {
    const { bytes } = images[round % images.length] ?? { bytes: new Uint8Array(0) };
    const changed = round % 5 === 0 ? Uint8Array.from({ length: 200 }, () => random() * 256) : bytes.slice();
    for (let change = 0; change < 4; change++) changed[Math.floor(random() * changed.length)] = random() * 256;
    if (round % 5 === 0) changed.set(bytes.subarray(0, 12 + random() * 40));
    const result = await inspect(changed, "file", () => 1 + random() * 500).catch((error) => error);
    assert.ok(result instanceof AppError || result.byteSize === changed.length, `round ${round}: ${result}`);
  }
});
