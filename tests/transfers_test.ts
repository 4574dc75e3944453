/** Sending a file that was announced: whole, too much or too little, and by those who may not. */
import { strict as assert } from "node:assert";
import { encodeId, findId } from "../src/lib/ids.ts";
import { uploadKey } from "../src/uploads/files.ts";
import { uploadUrl } from "../src/uploads/links.ts";
import { meterBody } from "../src/uploads/metered_body.ts";
import { type Any, startApp } from "./support/app.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { done } from "./support/mutations.ts";
import { changeMember } from "./support/rooms.ts";
import { linkTo } from "./support/stored_files.ts";
import {
  announceFile,
  arrange,
  assertArrived,
  BYTES,
  fileOf,
  hasBegun,
  offsetOf,
  outcomeOf,
  put,
  SlowPut,
  streamed,
  TINY,
} from "./support/transfers.ts";
import { reachable } from "./support/uploads.ts";

Deno.test("a file that was announced comes in with one request", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  assert.deepEqual(await offsetOf(announced), [0, BYTES.length]);
  const { status, body } = await put(announced, BYTES);
  assert.deepEqual([status, body], [201, { attachmentId: encodeId("attachment", announced.id), status: "READY" }]);
  await assertArrived(world, announced);
  const { mediaType, progress, unusedSince } = await fileOf(app, announced);
  assert.deepEqual([mediaType, progress, unusedSince], ["text/plain", null, null]);
});

Deno.test("a client that never heard the answer gets it when it asks again", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  using sending = await SlowPut.begin(announced);
  await sending.send(BYTES);
  const isThere = async () => (await fetch(linkTo(app, world.bob, { attachment: announced }), { method: "HEAD" })).ok;
  await eventually("the file is there", isThere);
  assert.deepEqual(outcomeOf(await put(announced, BYTES)), [200, "READY"]);
  assert.deepEqual(outcomeOf(await put(announced, new Uint8Array(), { from: BYTES.length })), [200, "READY"]);
  await changeMember(app, { person: world.bob, room: world.room, mutedUntil: new Date(Date.now() + 60_000) });
  assert.deepEqual(outcomeOf(await put(announced, BYTES)), [200, "READY"], "muted since");
  await assertArrived(world, announced);
});

Deno.test("a byte too many is refused, whether it is announced or just comes", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const more = BYTES.slice(0, 11);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  for (const body of [more, streamed(more)]) {
    const answer = await put(announced, body);
    assert.deepEqual(outcomeOf(answer), [413, "FILE_TOO_LARGE"]);
    assert.equal(answer.body.error.limit, 10);
  }
  assert.deepEqual(outcomeOf(await put(announced, streamed(TINY))), [201, "READY"]);
});

Deno.test("what ends before its time is kept, and goes on", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  assert.deepEqual(outcomeOf(await put(announced, TINY.slice(0, 7))), [400, "INVALID_INPUT"], "by Content-Length");
  assert.deepEqual(await offsetOf(announced), [0, 10]);
  assert.deepEqual(outcomeOf(await put(announced, streamed(TINY.slice(0, 7)))), [400, "INVALID_INPUT"]);
  assert.deepEqual(await offsetOf(announced), [7, 10]);
  assert.deepEqual(outcomeOf(await put(announced, TINY.slice(7), { from: 7 })), [201, "READY"]);
  await assertArrived(world, announced, TINY);
});

Deno.test("a client from which nothing comes any more is given up", async () => {
  const silent = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(TINY) });
  const reader = meterBody(silent, { byteSize: 20, idleMs: 1 }).getReader();
  await assert.rejects(async () => {
    while (true) await reader.read();
  }, /nothing more came/);
});

Deno.test("a file that is not what its name says is refused, and nothing of it stays", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10, filename: "photo.png" });
  const { id } = await fileOf(app, announced);
  assert.deepEqual(outcomeOf(await put(announced, TINY)), [400, "UNSUPPORTED_MEDIA_TYPE"]);
  assert.deepEqual(await offsetOf(announced), [404]);
  assert.deepEqual(outcomeOf(await put(announced, TINY)), [404, "NOT_FOUND"]);
  await eventually("the bytes are gone", async () => {
    const stored = await app.app.files.read(uploadKey(id));
    await stored?.cancel();
    return stored === null;
  });
  await eventually("they count no more", async () => {
    const [owner] = await app.app.sql`select stored_bytes from users where id = ${findId("user", world.bob.id)}`;
    return owner?.storedBytes === 0;
  });
});

Deno.test("an image is not there before it was processed", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const gif = Uint8Array.fromBase64("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7");
  const announced = await announceFile(app, world.bob, { ...world, byteSize: gif.length, filename: "dot.gif" });
  assert.deepEqual(outcomeOf(await put(announced, gif)), [201, "PROCESSING"]);
  assert.deepEqual(outcomeOf(await put(announced, gif)), [200, "PROCESSING"]);
  const [row] = await app.app.sql`select media_kind from attachments where id = ${announced.id}`;
  assert.equal(row?.mediaKind, "IMAGE");
});

Deno.test("a link that has expired or was changed is refused before a byte of the file is awaited", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  const other = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  const expired = uploadUrl(app.app, findId("user", world.bob.id) ?? "", announced.id, new Date(Date.now() - 1000));
  const urls = [
    reachable(app, expired),
    announced.url.replace(world.bob.id, world.alice.id),
    announced.url.replace(/expires=/, "expires=9"),
    announced.url.replace(/signature=.*/, "signature="),
    announced.url.replace(encodeId("attachment", announced.id), encodeId("attachment", other.id)),
    linkTo(app, world.bob, { attachment: announced }).replace(/\/files\/(\w+)\/original\/notes.txt/, "/uploads/$1"),
  ];
  for (const url of urls) {
    using sending = await SlowPut.begin({ ...announced, url });
    assert.deepEqual(outcomeOf(await inTime("the answer", sending.answer())), [403, "FORBIDDEN"], url);
    assert.deepEqual(await offsetOf({ url }), [403]);
  }
  assert.deepEqual(await offsetOf(announced), [0, BYTES.length]);
});

Deno.test("who is muted, gone or suspended sends nothing: that is said before a byte of the file is awaited", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const { bob, room } = world;
  const announced = await announceFile(app, bob, { ...world, byteSize: BYTES.length });
  const refused = async (outcome: unknown[], why: string) => {
    using sending = await SlowPut.begin(announced);
    assert.deepEqual(outcomeOf(await inTime("the answer", sending.answer())), outcome, why);
  };
  const [userId, mutedUntil] = [findId("user", bob.id), new Date(Date.now() + 60_000)];
  await changeMember(app, { person: bob, room, mutedUntil });
  await refused([403, "FORBIDDEN"], "muted");
  await changeMember(app, { person: bob, room, mutedUntil: null });
  await app.app.sql`update users set suspended_at = now() where id = ${userId}`;
  await refused([404, "NOT_FOUND"], "suspended");
  await app.app.sql`update users set suspended_at = null where id = ${userId}`;
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  await refused([403, "NOT_A_MEMBER"], "gone");
});

Deno.test("who is sent away or muted while the file comes in has attached nothing", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const { alice, bob, room } = world;
  const mute = { roomId: room.id, userId: bob.id };
  const ways: readonly (readonly [() => Promise<Any>, unknown[]])[] = [
    [() => changeMember(app, { person: bob, room, mutedUntil: new Date(Date.now() + 60_000) }), [403, "FORBIDDEN"]],
    [() => done(app, "kickMember", mute, alice), [403, "NOT_A_MEMBER"]],
  ];
  for (const [act, outcome] of ways) {
    await changeMember(app, { person: bob, room, mutedUntil: null });
    const announced = await announceFile(app, bob, { ...world, byteSize: BYTES.length });
    using sending = await SlowPut.begin(announced);
    await sending.send(BYTES.subarray(0, 1000));
    await eventually("it has begun", () => hasBegun(app, announced));
    await act();
    await sending.send(BYTES.subarray(1000));
    assert.deepEqual(outcomeOf(await sending.answer()), outcome);
    assert.equal((await fileOf(app, announced)).status, "INCOMING");
  }
});

Deno.test("a page of another origin may send a file, and read where to go on", async () => {
  await using app = await startApp({ ALLOWED_ORIGINS: "https://chat.example" });
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  const headers = { origin: "https://chat.example", "access-control-request-method": "PUT" };
  const preflight = await fetch(announced.url, { method: "OPTIONS", headers });
  const told = (name: string) => preflight.headers.get(`access-control-${name}`) ?? "";
  assert.equal(told("allow-origin"), "https://chat.example");
  assert.match(told("allow-methods"), /\bPUT\b/);
  for (const name of ["Content-Range", "Content-Type"]) assert.ok(told("allow-headers").includes(name));
  const head = await fetch(announced.url, { method: "HEAD", headers });
  assert.match(head.headers.get("access-control-expose-headers") ?? "", /\bUpload-Offset\b/);
  const wrong = await fetch(announced.url, { method: "POST", body: "x" });
  await wrong.body?.cancel();
  assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "HEAD, PUT, OPTIONS"]);
});
