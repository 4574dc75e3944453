/** Links to files and for uploads: what they look like, how long they hold, and that nobody can change one. */
import { strict as assert } from "node:assert";
import { type App } from "../src/app.ts";
import {
  attachmentUrl,
  pictureUrl,
  readFileLink,
  readPictureLink,
  readUploadLink,
  uploadUrl,
} from "../src/uploads/links.ts";
import { encodeId, newId } from "../src/lib/ids.ts";

const app = appWith("a secret for tests, 32 bytes or more");
const [ALICE, BOB] = [newId(), newId()];
const PHOTO = { id: newId(), filename: "photo.jpg" };
const NOON = Date.UTC(2026, 0, 1, 12);

const linkOf = (nowMs = NOON) => new URL(attachmentUrl(app, ALICE, PHOTO, "SMALL", nowMs));

Deno.test("a link says whose it is, and for which size of which file", () => {
  const { origin, pathname } = linkOf();
  assert.equal(origin, "https://chat.example");
  assert.equal(pathname, `/files/${encodeId("attachment", PHOTO.id)}/small/photo.jpg`);
  const expires = NOON / 1000 + 300;
  const link = { attachmentId: PHOTO.id, viewerId: ALICE, size: "SMALL", expires };
  assert.deepEqual(readFileLink(app, linkOf(), NOON), link);
});

Deno.test("a link holds for four to five minutes, and within a minute it is the same one", () => {
  for (const second of [0, 1, 30, 59]) {
    const nowMs = NOON + second * 1000;
    const link = readFileLink(app, linkOf(nowMs), nowMs);
    const left = (link?.expires ?? 0) - nowMs / 1000;
    assert.ok(left > 240 && left <= 300, `${left} s are left`);
    assert.equal(linkOf(nowMs).href, linkOf().href);
  }
  assert.notEqual(linkOf(NOON + 60_000).href, linkOf().href);
  assert.ok(readFileLink(app, linkOf(), NOON + 299_999));
  assert.equal(readFileLink(app, linkOf(), NOON + 300_000), null);
});

Deno.test("a link is as good under any file name, for that is only shown", () => {
  for (const filename of ["a/b.txt", "☃.png", "\ud800.png", "50%.txt", "?viewer=1", "#", "a\r\nb", " ", "%2e%2e"]) {
    const url = new URL(attachmentUrl(app, ALICE, { ...PHOTO, filename }, "ORIGINAL", NOON));
    assert.equal(readFileLink(app, url, NOON)?.attachmentId, PHOTO.id, filename);
    assert.equal(decodeURIComponent(url.pathname.split("/")[4] ?? ""), filename.toWellFormed());
  }
  const renamed = new URL(linkOf().href.replace("photo.jpg", "other"));
  assert.deepEqual(readFileLink(app, renamed, NOON), readFileLink(app, linkOf(), NOON));
});

Deno.test("a link in which anything that counts was changed is none", () => {
  const link = linkOf();
  const { href } = link;
  const other = encodeId("attachment", newId());
  const signature = link.searchParams.get("signature") ?? "";
  const flipped = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
  const changes: readonly (readonly [from: string, to: string])[] = [
    [encodeId("attachment", PHOTO.id), other],
    ["/small/", "/original/"],
    ["/small/", "/SMALL/"],
    ["/small/", "/constructor/"],
    ["/small/", "/small/small/"],
    ["/photo.jpg", ""],
    [encodeId("user", ALICE), encodeId("user", BOB)],
    [`expires=${NOON / 1000 + 300}`, `expires=${NOON / 1000 + 301}`],
    ["expires=", "expires=0"],
    ["expires=", "expires=%20"],
    [signature, flipped],
    [signature, signature.slice(1)],
    [signature, ""],
    ["&signature=", "&unsigned="],
    ["viewer=", "viewed="],
    ["expires=", "expired="],
  ];
  for (const [from, to] of changes) {
    assert.ok(href.includes(from));
    assert.equal(readFileLink(app, new URL(href.replace(from, to)), NOON), null, `${from} → ${to}`);
  }
  assert.equal(readFileLink(appWith("another secret for tests, 32 bytes"), link, NOON), null, "of another server");
});

Deno.test("a link to read opens nothing to write, nor the other way round", () => {
  const read = linkOf();
  const write = new URL(uploadUrl(app, ALICE, PHOTO.id, new Date(NOON + 86_400_000)));
  assert.equal(write.pathname, `/uploads/${encodeId("attachment", PHOTO.id)}`);
  const { expires } = readUploadLink(app, write, NOON) ?? {};
  assert.equal(expires, NOON / 1000 + 86_400);
  assert.equal(readUploadLink(app, new URL(write.pathname + read.search, read), NOON), null);
  assert.equal(readFileLink(app, new URL(read.pathname + write.search, read), NOON), null);
  assert.equal(readUploadLink(app, write, NOON + 86_400_000), null, "expired");
  const foreign = new URL(write.href.replace(encodeId("user", ALICE), encodeId("user", BOB)));
  assert.equal(readUploadLink(app, foreign, NOON), null);
});

Deno.test("what is signed for files is not signed with the key of the access tokens", async () => {
  const { pathname, searchParams } = linkOf();
  const text = `${pathname.replace("/photo.jpg", "")}?viewer=${searchParams.get("viewer")}&expires=${
    searchParams.get("expires")
  }`;
  const bytes = (part: string) => new TextEncoder().encode(part);
  const key = await crypto.subtle.importKey("raw", bytes(app.jwtSecret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const forged = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(text)));
  const signature = forged.toBase64({ alphabet: "base64url", omitPadding: true });
  assert.notEqual(searchParams.get("signature"), signature);
});

Deno.test("the URL of a picture never changes, and its larger sizes are one", () => {
  const fileId = crypto.randomUUID();
  const url = pictureUrl(app, fileId, "SMALL");
  assert.equal(url, `https://chat.example/pictures/${fileId.replaceAll("-", "")}/small`);
  assert.deepEqual(readPictureLink(new URL(url)), { fileId, size: "SMALL" });
  const sizes = (["MEDIUM", "LARGE", "ORIGINAL"] as const).map((size) => pictureUrl(app, fileId, size));
  assert.deepEqual(new Set(sizes).size, 1);
  for (const path of ["", "x", fileId, `${fileId}/small`, `${fileId.replaceAll("-", "")}/huge`]) {
    assert.equal(readPictureLink(new URL(`https://chat.example/pictures/${path}`)), null, path);
  }
});

function appWith(jwtSecret: string): App {
  return { jwtSecret, config: { publicUrl: "https://chat.example" } } as App;
}
