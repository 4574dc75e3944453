/** Who gets to see a file, and what a browser is told of it. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { encodeId, newId } from "../src/lib/ids.ts";
import { IMAGE_SIZES } from "../src/uploads/files.ts";
import { pictureUrl } from "../src/uploads/links.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { signUpAdmin } from "./support/admins.ts";
import { done } from "./support/mutations.ts";
import {
  attachFile,
  attachImage,
  givePicture,
  IMAGE_AS_IT_CAME,
  linkTo,
  renditionBytes,
  type StoredAttachment,
  TEN_BYTES,
} from "./support/stored_files.ts";

/** The status of an answer, and the text of a file or the code of an error. */
async function ask(url: string, init: RequestInit = {}): Promise<(number | string)[]> {
  const response = await fetch(url, init);
  const text = await response.text();
  const isError = response.headers.get("content-type") === "application/json";
  return [response.status, isError ? JSON.parse(text).error.code : text];
}

const FOUND = [200, "0123456789"];
const NOT_FOUND = [404, "NOT_FOUND"];
const FORBIDDEN = [403, "FORBIDDEN"];

const look = (app: TestApp, as: Person, attachment: StoredAttachment) => ask(linkTo(app, as, { attachment }));

Deno.test("the file of a message is for the members of its room, and for nobody else", async () => {
  await using app = await startApp();
  const [alice, bob, eve] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  const room = await app.makeRoom(alice, bob);
  const elsewhere = await app.makeRoom(eve, bob);
  const { id: messageId } = await app.send(alice, room, "Here it is");
  const attachment = await attachFile(app, alice, { room, messageId });
  assert.deepEqual(await look(app, alice, attachment), FOUND);
  assert.deepEqual(await look(app, bob, attachment), FOUND);
  assert.deepEqual(await look(app, eve, attachment), NOT_FOUND, "with a link of her own");
  assert.ok(elsewhere.id);
  assert.deepEqual(await look(app, bob, { ...attachment, id: newId() }), NOT_FOUND, "no such file");
});

Deno.test("who leaves, is sent away or is banned sees no file of the room any more, with links from before", async () => {
  await using app = await startApp();
  const [alice, ...others] = [await app.signUp("alice"), await app.signUp(), await app.signUp(), await app.signUp()];
  const [leaving, kicked, banned] = others as [Person, Person, Person];
  const room = await app.makeRoom(alice, ...others);
  const { id: messageId } = await app.send(alice, room, "Here it is");
  const attachment = await attachFile(app, alice, { room, messageId });
  const links = new Map(others.map((person) => [person, linkTo(app, person, { attachment })]));
  for (const link of links.values()) assert.deepEqual(await ask(link), FOUND);
  const ways: readonly (readonly [Person, () => Promise<Any>])[] = [
    [leaving, () => done(app, "leaveRoom", { roomId: room.id }, leaving)],
    [kicked, () => done(app, "kickMember", { roomId: room.id, userId: kicked.id }, alice)],
    [banned, () => done(app, "banMember", { roomId: room.id, userId: banned.id }, alice)],
  ];
  for (const [person, go] of ways) {
    await go();
    assert.deepEqual(await ask(links.get(person) ?? ""), NOT_FOUND, person.username);
  }
  await done(app, "joinRoom", { roomId: room.id }, leaving);
  assert.deepEqual(await ask(links.get(leaving) ?? ""), FOUND, "back again");
});

Deno.test("a suspended account sees no file, one that is deleted neither", async () => {
  await using app = await startApp();
  const [admin, alice, bob, carol] = [
    await signUpAdmin(app),
    await app.signUp("alice"),
    await app.signUp("bob"),
    await app.signUp("carol"),
  ];
  const room = await app.makeRoom(alice, bob, carol);
  const { id: messageId } = await app.send(alice, room, "Here it is");
  const attachment = await attachFile(app, alice, { room, messageId });
  const [bobsLink, carolsLink] = [linkTo(app, bob, { attachment }), linkTo(app, carol, { attachment })];
  await done(app, "updateAccount", { userId: bob.id, isSuspended: true }, admin);
  assert.deepEqual(await ask(bobsLink), NOT_FOUND);
  await done(app, "deleteAccount", { password: carol.password }, carol);
  assert.deepEqual(await ask(carolsLink), NOT_FOUND);
});

Deno.test("a file that is not sent yet is for its uploader alone, as long as that is a member", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const attachment = await attachFile(app, bob, { room });
  assert.deepEqual(await look(app, bob, attachment), FOUND);
  assert.deepEqual(await look(app, alice, attachment), NOT_FOUND, "not even for the owner of the room");
  const link = linkTo(app, bob, { attachment });
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  assert.deepEqual(await ask(link), NOT_FOUND);
});

Deno.test("with its message a file is gone for everybody, its uploader too", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(bob, room, "Here it is");
  const attachment = await attachFile(app, bob, { room, messageId });
  await done(app, "deleteMessage", { messageId }, bob);
  assert.deepEqual(await look(app, alice, attachment), NOT_FOUND);
  assert.deepEqual(await look(app, bob, attachment), NOT_FOUND);
});

Deno.test("with its room a file is gone", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const attachment = await attachFile(app, alice, { room });
  await done(app, "deleteRoom", { roomId: room.id }, alice);
  assert.deepEqual(await look(app, alice, attachment), NOT_FOUND);
});

Deno.test("a link that has expired, or in which somebody changed something, shows nothing", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const attachment = await attachFile(app, alice, { room });
  const link = linkTo(app, alice, { attachment });
  assert.deepEqual(await ask(link), FOUND);
  assert.deepEqual(await ask(link.replace("notes.txt", "anything")), FOUND, "the name counts for nothing");
  const old = linkTo(app, alice, { attachment, nowMs: Date.now() - 301_000 });
  assert.deepEqual(await ask(old), FORBIDDEN, "expired");
  const other = await attachFile(app, alice, { room });
  const changes: readonly (readonly [from: string | RegExp, to: string])[] = [
    [encodeId("attachment", attachment.id), encodeId("attachment", other.id)],
    ["/original/", "/small/"],
    [alice.id, bob.id],
    [/expires=\d+/, `expires=${Math.floor(Date.now() / 1000) + 86_400}`],
    [/signature=.*/, "signature="],
    [/\?.*/, ""],
  ];
  for (const [from, to] of changes) {
    assert.notEqual(link.replace(from, to), link);
    assert.deepEqual(await ask(link.replace(from, to)), FORBIDDEN, `${from} → ${to}`);
  }
});

Deno.test("an image is never served as it came, only as it was made anew", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const attachment = await attachImage(app, alice, { room });
  for (const size of IMAGE_SIZES) {
    const response = await fetch(linkTo(app, alice, { attachment, size }));
    const bytes = await response.bytes();
    assert.notDeepEqual(bytes, IMAGE_AS_IT_CAME);
    assert.deepEqual([response.status, bytes], [200, renditionBytes(size)], size);
    const [type, name] = size === "ORIGINAL" ? ["image/jpeg", "photo.jpg"] : ["image/webp", "photo.webp"];
    assert.equal(response.headers.get("content-type"), type);
    assert.match(response.headers.get("content-disposition") ?? "", new RegExp(`^inline; filename="${name}"`));
  }
});

Deno.test("what is no image has one size, and one type that a browser runs nothing of", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const types = [
    ["text/plain", "text/plain"],
    ["application/pdf", "application/pdf"],
    ["video/mp4", "video/mp4"],
    ["audio/mpeg", "audio/mpeg"],
    ["application/zip", "application/zip"],
    ["text/html", "application/octet-stream"],
    ["image/svg+xml", "application/octet-stream"],
    ["application/xhtml+xml", "application/octet-stream"],
    ["text/javascript", "application/octet-stream"],
    ["video/mp4\r\nx: y", "application/octet-stream"],
  ] as const;
  for (const [mediaType, told] of types) {
    const attachment = await attachFile(app, alice, { room, mediaType });
    const response = await fetch(linkTo(app, alice, { attachment }));
    await response.body?.cancel();
    assert.equal(response.headers.get("content-type"), told);
    assert.match(response.headers.get("content-disposition") ?? "", /^attachment; /, mediaType);
    for (const size of ["SMALL", "MEDIUM", "LARGE"] as const) {
      assert.deepEqual(await ask(linkTo(app, alice, { attachment, size })), NOT_FOUND, size);
    }
  }
});

Deno.test("until an image was processed it is asked for again in a second", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const processing = await attachImage(app, alice, { room, status: "PROCESSING" });
  const response = await fetch(linkTo(app, alice, { attachment: processing }));
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
  const { error: { message, ...error } } = await response.json();
  assert.match(message, /^Cannot show the file yet: /);
  assert.deepEqual(error, { code: "UNAVAILABLE", retryAfterMs: 1000 });
  for (const status of ["DELETING", "INCOMING"] as const) {
    const attachment = await attachImage(app, alice, { room, status });
    assert.deepEqual(await look(app, alice, attachment), NOT_FOUND, status);
  }
});

Deno.test("what could not be processed can be kept, and is no image to a browser", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const attachment = await attachImage(app, alice, { room: await app.makeRoom(alice), status: "FAILED" });
  const response = await fetch(linkTo(app, alice, { attachment }));
  assert.deepEqual([response.status, await response.bytes()], [200, IMAGE_AS_IT_CAME]);
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  assert.match(response.headers.get("content-disposition") ?? "", /^attachment; /);
  assert.deepEqual(await ask(linkTo(app, alice, { attachment, size: "SMALL" })), NOT_FOUND);
});

Deno.test("a file whose bytes are lost is not found", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const attachment = await attachFile(app, alice, { room: await app.makeRoom(alice) });
  await app.app.files.delete(`${attachment.fileId}/upload`);
  assert.deepEqual(await look(app, alice, attachment), NOT_FOUND);
});

Deno.test("an avatar is for everybody, for ever, and until there is another one", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const fileId = await givePicture(app, alice);
  const at = (id: string, size: "SMALL" | "LARGE") =>
    new URL(new URL(pictureUrl(app.app, id, size)).pathname, app.url).href;
  for (const [size, stored] of [["SMALL", "SMALL"], ["LARGE", "MEDIUM"]] as const) {
    const response = await fetch(at(fileId, size));
    assert.deepEqual([response.status, await response.bytes()], [200, renditionBytes(stored)]);
    assert.equal(response.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(response.headers.get("content-type"), "image/webp");
  }
  const { fileId: attached } = await attachImage(app, alice, { room: await app.makeRoom(alice) });
  assert.deepEqual(await ask(at(attached, "SMALL")), NOT_FOUND, "an attachment is no picture");
  assert.deepEqual(await ask(at(crypto.randomUUID(), "SMALL")), NOT_FOUND);
  assert.deepEqual(await ask(at("x", "SMALL")), NOT_FOUND);
  await givePicture(app, alice);
  assert.deepEqual(await ask(at(fileId, "SMALL")), NOT_FOUND, "another one");
});

Deno.test("a browser is told not to guess, not to run and not to frame what it gets", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const attachment = await attachFile(app, alice, { room: await app.makeRoom(alice) });
  const { headers, body } = await fetch(linkTo(app, alice, { attachment }), { headers: { "accept-encoding": "gzip" } });
  await body?.cancel();
  const told = Object.fromEntries(headers);
  const { etag, "cache-control": cache, ...rest } = told;
  assert.equal(etag, `"${createHash("sha256").update(TEN_BYTES).digest("hex")}"`);
  const [, seconds] = /^private, max-age=(\d+), immutable$/.exec(cache ?? "") ?? [];
  assert.ok(Number(seconds) >= 239 && Number(seconds) <= 300, cache);
  const { date: _date, vary: _vary, "access-control-expose-headers": _exposed, ...others } = rest;
  assert.deepEqual(others, {
    "accept-ranges": "bytes",
    "access-control-allow-origin": "*",
    "content-disposition": `attachment; filename="notes.txt"; filename*=UTF-8''notes.txt`,
    "content-length": "10",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "content-type": "text/plain",
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
});

Deno.test("no file name gets out of its header", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const names = [
    `a"; filename="b.html`,
    "a\r\nSet-Cookie: a=b",
    "a\nb",
    "\\",
    "naïve ☃ 日本語.txt",
    "a%22b",
    "a;b=c",
    "\ud800",
    "a'b'c",
    "\u202etxt.exe",
  ];
  for (const filename of names) {
    const attachment = await attachFile(app, alice, { room, filename: filename.toWellFormed() });
    const response = await fetch(linkTo(app, alice, { attachment }));
    assert.deepEqual([response.status, await response.text()], FOUND, filename);
    assert.equal(response.headers.get("set-cookie"), null);
    const disposition = response.headers.get("content-disposition") ?? "";
    assert.match(
      disposition,
      /^attachment; filename="(?:[^"\\]|\\["\\])*"; filename\*=UTF-8''[\w.!#$&+^`|~%-]+$/,
      filename,
    );
  }
});
