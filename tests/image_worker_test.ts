/** Promises of the image worker: what comes out of every kind of image, and what becomes of files that want to harm it. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import sharp from "sharp";
import { thumbHashToRGBA } from "thumbhash";
import { IMAGE_SIZES, type ImageSize } from "../src/uploads/files.ts";
import { ImagePool, ImageRefused } from "../src/uploads/image_pool.ts";
import { FITS, type ImageType } from "../src/uploads/image_protocol.ts";
import { type Bytes, joinBytes } from "./support/bytes.ts";
import { makeBombs, makeGif, makeManyScans, makePng, makePngHeader } from "./support/image_bytes.ts";
import {
  animation,
  asBytes,
  BLUE,
  contains,
  environmentOf,
  GREEN,
  isNear,
  peakBytes,
  photo,
  pixelAt,
  processImage,
  quarters,
  RED,
  type Result,
  stored,
  YELLOW,
} from "./support/images.ts";

const PHOTO_TYPES = { jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif" } as const;

Deno.test("a photo is upright in every size, however the camera was held", async () => {
  await using pool = new ImagePool(1);
  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const file = await stored(quarters(400, 200), orientation);
    const attachment = await processImage(pool, file, { mediaType: "image/jpeg" });
    assert.deepEqual([attachment.width, attachment.height], [400, 200], `orientation ${orientation}`);
    await assertQuarters(attachment, `orientation ${orientation}`);
    const picture = await processImage(pool, file, { mediaType: "image/jpeg", purpose: "PICTURE" });
    assert.deepEqual([picture.width, picture.height], [200, 200], "the square is not enlarged");
    assert.deepEqual([...picture.files.keys()], ["MEDIUM", "SMALL"]);
    await assertQuarters(picture, `picture of orientation ${orientation}`);
  }
});

Deno.test("every size fits its box, keeps its shape and is never enlarged", async () => {
  await using pool = new ImagePool(1);
  for (const [width, height] of [[4000, 3000], [300, 200], [1, 1], [8000, 1], [1, 8000], [65, 64]] as const) {
    const image = await processImage(pool, await asBytes(quarters(width, height).png()));
    assert.deepEqual([image.width, image.height], [width, height]);
    for (const { size, mediaType, byteSize, sha256 } of image.renditions) {
      const file = fileOf(image, size);
      const { format, width: madeWidth, height: madeHeight } = await sharp(file).metadata();
      const scale = size === "ORIGINAL" ? 1 : Math.min(1, FITS[size] / Math.max(width, height));
      const expected = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
      assert.deepEqual([madeWidth, madeHeight], expected, `${size} of ${width} x ${height}`);
      assert.equal(`image/${format}`, mediaType);
      assert.equal(mediaType, size === "ORIGINAL" ? "image/png" : "image/webp");
      assert.equal(byteSize, file.length);
      assert.equal(sha256, createHash("sha256").update(file).digest("hex"));
    }
  }
});

Deno.test("the placeholder has the shape and the colours of the image", async () => {
  await using pool = new ImagePool(1);
  const { thumbhash } = await processImage(pool, await asBytes(quarters(400, 200).png()));
  const { w: width, h: height, rgba } = thumbHashToRGBA(Uint8Array.fromBase64(thumbhash));
  assert.ok(width > height * 1.6, `${width} x ${height}`);
  const pixels = new Uint8Array(rgba);
  const image = await asBytes(sharp(pixels, { raw: { width, height, channels: 4 } }).png());
  assert.ok(isNear(await pixelAt(image, 0.2, 0.2), RED, 90), "red above, left");
  assert.ok(isNear(await pixelAt(image, 0.2, 0.8), BLUE, 90), "blue below, left");
});

Deno.test("what was transparent stays transparent in every size", async () => {
  await using pool = new ImagePool(1);
  const create = { width: 300, height: 300, channels: 4, background: { r: 220, g: 30, b: 30, alpha: 0 } } as const;
  const square = await sharp({ create: { width: 150, height: 150, channels: 4, background: "#dc1e1e" } }).png()
    .toBuffer();
  const half = sharp(await sharp({ create }).composite([{ input: square, left: 0, top: 0 }]).png().toBuffer());
  for (const format of ["png", "webp", "gif"] as const) {
    const file = await asBytes(half.clone().toFormat(format));
    const image = await processImage(pool, file, { mediaType: PHOTO_TYPES[format] });
    for (const size of IMAGE_SIZES) {
      assert.ok(isNear(await pixelAt(fileOf(image, size), 0.2, 0.2), [...RED, 255]), `${format} ${size}`);
      const [, , , opacity = 255] = await pixelAt(fileOf(image, size), 0.8, 0.8);
      assert.ok(opacity < 16, `${format} ${size}`);
    }
  }
});

Deno.test("colours are those that a calibrated screen shows: CMYK, wide gamut, grey and 16 bits come out as sRGB", async () => {
  await using pool = new ImagePool(1);
  const plain = quarters(64, 64);
  const files = {
    cmyk: await asBytes(plain.clone().toColorspace("cmyk").withIccProfile("cmyk").jpeg({ quality: 95 })),
    p3: await asBytes(plain.clone().withIccProfile("p3").jpeg({ quality: 95 })),
    deep: await asBytes(plain.clone().toColorspace("rgb16").png()),
    grey: await asBytes(plain.clone().greyscale().toColorspace("b-w").png()),
  };
  assert.equal((await sharp(files.cmyk).metadata()).space, "cmyk");
  assert.equal((await sharp(files.deep).metadata()).depth, "ushort");
  for (const [name, file] of Object.entries(files)) {
    const image = await processImage(pool, file, { mediaType: /cmyk|p3/.test(name) ? "image/jpeg" : "image/png" });
    for (const size of IMAGE_SIZES) {
      const made = fileOf(image, size);
      const { space, depth, icc } = await sharp(made).metadata();
      assert.deepEqual([depth, icc], ["uchar", undefined], `${name} ${size}`);
      assert.match(space, /^(srgb|b-w)$/);
      const shown = await pixelAt(await asBytes(sharp(file).toColorspace("srgb").png()), 0.2, 0.2);
      const tolerance = 30;
      assert.ok(isNear(await pixelAt(made, 0.2, 0.2), shown, tolerance), `${name} ${size}`);
      if (name !== "grey") assert.ok(isNear(await pixelAt(made, 0.2, 0.2), RED, 45), `${name} ${size}`);
    }
  }
});

Deno.test("nothing is left of what a file says beside its pixels: place, camera, comments, code behind its end", async () => {
  await using pool = new ImagePool(1);
  const exif = {
    IFD0: { Make: "SecretCamera", Copyright: "SecretOwner" },
    IFD3: { GPSLatitude: "51/1 30/1 0/1", GPSLatitudeRef: "N" },
  };
  const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
    `<rdf:Description rdf:about="SecretXmp"/></rdf:RDF></x:xmpmeta>`;
  for (const format of ["jpeg", "png", "webp"] as const) {
    const image = quarters(64, 64).withExif(exif).withXmp(xmp).withIccProfile("p3").toFormat(format);
    const file = joinBytes(await asBytes(image), "<script>SecretScript()</script><?php secret(); ?>");
    const { xmp: told, icc: profile } = await sharp(file).metadata();
    assert.ok(contains(file, "SecretCamera") && told && profile, "the fixture holds it");
    const made = await processImage(pool, file, { mediaType: PHOTO_TYPES[format] });
    for (const size of IMAGE_SIZES) {
      const { exif, xmp, icc, iptc, comments } = await sharp(fileOf(made, size)).metadata();
      assert.deepEqual([exif, xmp, icc, iptc, comments], Array(5).fill(undefined), `${format} ${size}`);
      for (const word of ["Secret", "script", "php", "Exif", "ICC_PROFILE", "xmpmeta"]) {
        assert.ok(!contains(fileOf(made, size), word), `${format} ${size}: ${word}`);
      }
    }
  }
});

Deno.test("an animation stays one in its original, and is a still in the other sizes", async () => {
  await using pool = new ImagePool(1);
  const options = { delay: [100, 200, 300], loop: 0 };
  for (const format of ["gif", "webp"] as const) {
    const file = await asBytes(animation([RED, GREEN, BLUE])[format](options));
    const image = await processImage(pool, file, { mediaType: PHOTO_TYPES[format] });
    assert.deepEqual([image.width, image.height], [32, 32]);
    const original = fileOf(image, "ORIGINAL");
    const { pages, delay, loop } = await sharp(original, { animated: true }).metadata();
    assert.deepEqual({ pages, delay, loop }, { pages: 3, ...options }, format);
    const frames = await asBytes(sharp(original, { animated: true }).png());
    for (const [index, color] of [RED, GREEN, BLUE].entries()) {
      assert.ok(isNear(await pixelAt(frames, 0.5, (index + 0.5) / 3), color), `frame ${index} of a ${format}`);
    }
    for (const size of ["LARGE", "MEDIUM", "SMALL"] as const) {
      assert.equal((await sharp(fileOf(image, size)).metadata()).pages ?? 1, 1);
      assert.ok(isNear(await pixelAt(fileOf(image, size), 0.5, 0.5), RED));
    }
  }
});

Deno.test("a photo of 12 megapixels is done by a process that stays below 400 MB", async () => {
  await using pool = new ImagePool(1);
  const image = await processImage(pool, await asBytes((await photo(4000, 3000)).jpeg()), { mediaType: "image/jpeg" });
  assert.deepEqual([image.width, image.height], [4000, 3000]);
  const peak = await peakBytes(pool.pids[0] ?? 0);
  assert.ok(peak < 400_000_000, `${peak} bytes`);
});

Deno.test("a file that was cut off is refused, wherever it was cut", async () => {
  await using pool = new ImagePool(1);
  const image = await photo(200, 150);
  for (const format of ["jpeg", "png", "webp", "gif"] as const) {
    const file = await asBytes(image.clone().toFormat(format));
    for (const share of [0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97]) {
      const cut = file.slice(0, Math.floor(file.length * share));
      await assertRefused(pool, cut, PHOTO_TYPES[format], `${format}, ${share} of it`);
    }
    await processImage(pool, file, { mediaType: PHOTO_TYPES[format] }); // the process has survived them all
  }
  assert.equal(pool.pids.length, 1);
});

Deno.test("a file with damaged bytes is refused or shown, and the next one is not worse for it", async () => {
  await using pool = new ImagePool(1);
  const image = await photo(200, 150);
  for (const format of ["jpeg", "png", "webp", "gif"] as const) {
    const file = await asBytes(image.clone().toFormat(format));
    for (let round = 0; round < 25; round++) {
      const damaged = file.slice();
      for (let hit = 0; hit <= round % 5; hit++) damaged[Math.floor(Math.random() * damaged.length)] = round * 37;
      const result = await processImage(pool, damaged, { mediaType: PHOTO_TYPES[format] }).catch((error) => error);
      assert.ok("files" in result || result instanceof ImageRefused, String(result));
    }
  }
  const pixels = await asBytes(image.png());
  pixels[Math.floor(pixels.length / 2)] = 255 - (pixels[Math.floor(pixels.length / 2)] ?? 0);
  await assertRefused(pool, pixels, "image/png", "pixels of a PNG that fail their checksum");
  assert.equal(pool.pids.length, 1, "it was one process all the time");
});

Deno.test("what would take too much memory or time is refused by its header, whatever its size on disk", async () => {
  await using pool = new ImagePool(1);
  await processImage(pool, makePng(100, 100));
  const [pid = 0] = pool.pids;
  const before = await peakBytes(pid);
  await assertRefused(pool, makePng(20_000, 20_000), "image/png", "400 megapixels in 50 KB");
  await assertRefused(pool, makePngHeader(60_000, 60_000), "image/png", "a header alone");
  await assertRefused(pool, makePng(7_000, 7_000), "image/png", "more than 24 megapixels");
  await assertRefused(pool, makeGif(4_000, 4_000, 50, [0, 0, 4_000, 4_000]), "image/gif", "800 megapixels in frames");
  const peak = await peakBytes(pid);
  assert.ok(peak - before < 60_000_000, `${peak - before} bytes more`);
  assert.deepEqual(pool.pids, [pid]);
});

Deno.test("a bomb in a text or a profile of a PNG costs little, and takes nothing away from its pixels", async () => {
  await using pool = new ImagePool(1);
  await processImage(pool, makePng(100, 100));
  const [pid = 0] = pool.pids;
  for (const [name, bomb] of Object.entries(makeBombs(500_000_000))) {
    const file = makePng(100, 100, [bomb]);
    const result = await processImage(pool, file).catch((error) => error);
    assert.ok("files" in result || result instanceof ImageRefused, `${name}: ${result}`);
  }
  const peak = await peakBytes(pid);
  assert.ok(peak < 300_000_000, `${peak} bytes`);
  assert.deepEqual(pool.pids, [pid]);
});

Deno.test("a JPEG that repeats its scans is refused before it costs seconds", async () => {
  await using pool = new ImagePool(1);
  const file = await makeManyScans(500, await photo(2000, 1500));
  await assertRefused(pool, file, "image/jpeg", "500 scans");
});

Deno.test("what is no image, or another kind than it should be, is refused", async () => {
  await using pool = new ImagePool(1);
  await assertRefused(pool, joinBytes("<svg xmlns='http://www.w3.org/2000/svg'/>"), "image/png", "SVG");
  await assertRefused(pool, joinBytes("%PDF-1.7"), "image/png", "PDF");
  await assertRefused(pool, await asBytes(quarters(8, 8).tiff()), "image/png", "TIFF: there is no decoder for it");
  await assertRefused(pool, await asBytes(quarters(8, 8).png()), "image/jpeg", "PNG for a JPEG");
});

Deno.test("the process of the decoders is told nothing that the server knows", async () => {
  Deno.env.set("JWT_SECRET", "a secret that nobody may see");
  try {
    await using pool = new ImagePool(1);
    await processImage(pool, makePng(10, 10));
    const names = await environmentOf(pool.pids[0] ?? 0);
    const allowed = ["HOME", "DENO_DIR", "XDG_CACHE_HOME", "MALLOC_ARENA_MAX"];
    assert.ok(names.includes("MALLOC_ARENA_MAX"), "it was looked at");
    assert.deepEqual(names.filter((name) => !allowed.includes(name)), []);
  } finally {
    Deno.env.delete("JWT_SECRET");
  }
});

function fileOf({ files }: Result, size: ImageSize): Bytes {
  return files.get(size) ?? assert.fail(`There is no ${size}`);
}

async function assertQuarters({ files }: Result, what: string): Promise<void> {
  for (const [size, file] of files) {
    assert.ok(isNear(await pixelAt(file, 0.1, 0.1), RED, 45), `${what}, ${size}: red above left`);
    assert.ok(isNear(await pixelAt(file, 0.9, 0.1), GREEN, 45), `${what}, ${size}: green above right`);
    assert.ok(isNear(await pixelAt(file, 0.1, 0.9), BLUE, 45), `${what}, ${size}: blue below left`);
    assert.ok(isNear(await pixelAt(file, 0.9, 0.9), YELLOW, 45), `${what}, ${size}: yellow below right`);
  }
}

async function assertRefused(pool: ImagePool, file: Bytes, mediaType: ImageType, what: string): Promise<void> {
  await assert.rejects(processImage(pool, file, { mediaType }), ImageRefused, what);
}
