/** Sending a file that was announced: whole, in parts, twice, too much, and by those who may not. */
import { strict as assert } from "node:assert";
import { encodeId, findId } from "../src/lib/ids.ts";
import { uploadKey } from "../src/uploads/files.ts";
import { uploadUrl } from "../src/uploads/links.ts";
import { meterBody } from "../src/uploads/metered_body.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { isClustered } from "./support/databases.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { done } from "./support/mutations.ts";
import { changeMember } from "./support/rooms.ts";
import { S3Server } from "./support/s3_server.ts";
import { linkTo } from "./support/stored_files.ts";
import {
  type Announced,
  announceFile,
  breakOff,
  fileOf,
  goOn,
  offsetOf,
  put,
  type PutAnswer,
  SlowPut,
  streamed,
  through,
} from "./support/transfers.ts";
import { reachable } from "./support/uploads.ts";
import { Wire } from "./support/wires.ts";

/** Text that repeats nowhere: a part in the wrong place is seen. */
const BYTES = new TextEncoder().encode(Array.from({ length: 30_000 }, (_, n) => `${n}`.padStart(9)).join("\n"));
const TINY = BYTES.slice(0, 10);

interface World {
  readonly app: TestApp;
  readonly alice: Person;
  readonly bob: Person;
  readonly room: TestRoom;
}

/** Bob is a member of a room of Alice's. */
async function arrange(app: TestApp): Promise<World> {
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  return { app, alice, bob, room: await app.makeRoom(alice, bob) };
}

const outcomeOf = ({ status, offset, body }: PutAnswer) => [
  status,
  body.error?.code ?? body.status,
  ...offset === null ? [] : [offset],
];

async function assertArrived({ app, bob }: World, announced: Announced, bytes = BYTES): Promise<void> {
  const response = await fetch(linkTo(app, bob, { attachment: announced }));
  assert.equal(response.status, 200);
  assert.deepEqual(await response.bytes(), bytes);
  assert.deepEqual(await offsetOf(announced), [bytes.length, bytes.length]);
}

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

Deno.test("wherever a transfer breaks off, it goes on from there", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  for (const to of [1, 2, 1000, 65_535, 65_536, 65_537, 200_000, BYTES.length - 1]) {
    const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
    await breakOff(announced, BYTES, { to });
    assert.deepEqual(outcomeOf(await put(announced, BYTES.slice(to), { from: to })), [201, "READY"], `${to}`);
    await assertArrived(world, announced);
  }
});

Deno.test("a client whose connection is lost goes on, whatever the server has noticed of it", async () => {
  await using app = await startApp();
  await using wire = await Wire.to(Number(new URL(app.url).port));
  const world = await arrange(app);
  for (const to of [0, 1, 1000, 100_000, BYTES.length - 1, BYTES.length]) {
    const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
    using sending = await SlowPut.begin({ ...announced, url: wire.rewrite(announced.url) });
    await sending.send(BYTES.subarray(0, to));
    await eventually("it has begun", () => hasBegun(app, announced));
    wire.cut();
    assert.ok([200, 201].includes((await goOn(announced, BYTES)).status), `${to}`);
    await assertArrived(world, announced);
  }
});

Deno.test("a transfer may break off again and again", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  const stops = [10, 70_000, 70_001, 150_000, 280_000];
  for (const [index, to] of stops.entries()) {
    await breakOff(announced, BYTES, { from: stops[index - 1], to });
  }
  assert.deepEqual(outcomeOf(await put(announced, BYTES.slice(280_000), { from: 280_000 })), [201, "READY"]);
  await assertArrived(world, announced);
});

Deno.test("who begins anew begins with nothing", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  await breakOff(announced, BYTES.slice().fill(0), { to: 100_000 });
  assert.deepEqual(outcomeOf(await put(announced, BYTES)), [201, "READY"]);
  await assertArrived(world, announced);
});

Deno.test("a transfer goes on nowhere but where it was safe, and to the end of what was announced", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  await breakOff(announced, TINY, { to: 4 });
  const table: readonly (readonly [range: string, bytes: number, outcome: unknown[]])[] = [
    ["bytes 0-9/10", 10, [409, "INVALID_INPUT", 4]],
    ["bytes 3-9/10", 7, [409, "INVALID_INPUT", 4]],
    ["bytes 5-9/10", 5, [409, "INVALID_INPUT", 4]],
    ["bytes */10", 0, [409, "INVALID_INPUT", 4]],
    ["bytes 4-8/10", 5, [400, "INVALID_INPUT"]],
    ["bytes 4-8/9", 5, [400, "INVALID_INPUT"]],
    ["bytes 4-10/11", 7, [413, "FILE_TOO_LARGE"]],
    ["bytes 4-9/10", 5, [400, "INVALID_INPUT"]],
    ["bytes 4-9/10", 7, [400, "INVALID_INPUT"]],
    ["bytes 4-9/*", 6, [400, "INVALID_INPUT"]],
    ["4-9", 6, [400, "INVALID_INPUT"]],
  ];
  for (const [range, count, outcome] of table) {
    assert.deepEqual(
      outcomeOf(await put(announced, new Uint8Array(count), { range })),
      outcome,
      `${range} of ${count}`,
    );
  }
  assert.deepEqual(await offsetOf(announced), [4, 10], "none of that has harmed it");
  assert.deepEqual(outcomeOf(await put(announced, TINY.slice(4), { from: 4 })), [201, "READY"]);
  await assertArrived(world, announced, TINY);
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
  await eventually("the bytes are gone", async () => await app.app.files.read(uploadKey(id)) === null);
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

Deno.test("of two requests at once the later one goes on, and the other is told", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  using first = await SlowPut.begin(announced);
  await first.send(BYTES.subarray(0, 1000));
  await eventually("it has begun", () => hasBegun(app, announced));
  assert.deepEqual(outcomeOf(await put(announced, BYTES)), [201, "READY"]);
  const { status, offset } = await inTime("the answer", first.answer());
  assert.equal(status, 409);
  assert.ok(offset !== null, "it may look where to go on");
  await assertArrived(world, announced);
});

Deno.test("a client that comes back before its lost connection is noticed goes on, and loses nothing", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
  await breakOff(announced, BYTES, { to: 1000 });
  const { transferId } = await fileOf(app, announced);
  using lost = await SlowPut.begin(announced, { from: 1000 });
  await lost.send(BYTES.subarray(1000, 100_000));
  await eventually("it has gone on", async () => (await fileOf(app, announced)).transferId !== transferId);
  assert.deepEqual(outcomeOf(await put(announced, BYTES.slice(1000), { from: 1000 })), [201, "READY"]);
  await assertArrived(world, announced);
});

Deno.test("what the storage has lost begins anew", async () => {
  await using app = await startApp();
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  await breakOff(announced, TINY, { to: 4 });
  await app.app.files.delete(uploadKey((await fileOf(app, announced)).id));
  assert.deepEqual(outcomeOf(await put(announced, TINY.slice(4), { from: 4 })), [409, "INVALID_INPUT", 0]);
  assert.deepEqual(outcomeOf(await put(announced, TINY, { from: 0 })), [201, "READY"]);
  await assertArrived(world, announced, TINY);
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

Deno.test("a transfer into a bucket breaks off and goes on, through parts of any size", async () => {
  await using server = await S3Server.start();
  await using app = await startApp(server.env);
  const world = await arrange(app);
  const bytes = new Uint8Array(12 * 1024 * 1024).map((_, index) => (index * 7 + (index >> 11)) & 0xff);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: bytes.length });
  for (const to of [6_000_000, 6_000_001, 11_000_000]) {
    const [from = 0] = await offsetOf(announced);
    assert.equal((await put(announced, streamed(bytes.slice(from, to)), { from })).status, 400);
  }
  const [from = 0] = await offsetOf(announced);
  assert.ok(from > 0, "something was safe");
  assert.deepEqual(outcomeOf(await goOn(announced, bytes)), [201, "READY"]);
  await assertArrived(world, announced, bytes);
});

Deno.test("what was accepted into a bucket is never replaced by what an older request brings", async () => {
  await using server = await S3Server.start();
  await using app = await startApp(server.env);
  const world = await arrange(app);
  const announced = await announceFile(app, world.bob, { ...world, byteSize: 10 });
  const { transferId } = await fileOf(app, announced);
  using older = await SlowPut.begin(announced);
  await older.send(new Uint8Array(4));
  await eventually("it has begun", async () => (await fileOf(app, announced)).transferId !== transferId);
  assert.deepEqual(outcomeOf(await put(announced, TINY)), [201, "READY"]);
  await older.send(new Uint8Array(6));
  await inTime("the answer", older.answer());
  await assertArrived(world, announced, TINY);
});

Deno.test({
  name: "a transfer that broke off on one node goes on at another",
  ignore: !isClustered,
  async fn() {
    await using app = await startApp();
    await using other = await startApp({}, { joins: app });
    const world = await arrange(app);
    for (const to of [1, 100_000, BYTES.length - 1]) {
      const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
      await breakOff(announced, BYTES, { to });
      const there = through(other, announced);
      assert.deepEqual(await offsetOf(there), [to, BYTES.length]);
      assert.deepEqual(outcomeOf(await put(there, BYTES.slice(to), { from: to })), [201, "READY"]);
      await assertArrived(world, announced);
    }
  },
});

Deno.test({
  name: "a node takes over from one where the connection still seems to be open",
  ignore: !isClustered,
  async fn() {
    await using app = await startApp();
    await using other = await startApp({}, { joins: app });
    const world = await arrange(app);
    const announced = await announceFile(app, world.bob, { ...world, byteSize: BYTES.length });
    using first = await SlowPut.begin(announced);
    await first.send(BYTES.subarray(0, 1000));
    await eventually("it has begun", () => hasBegun(app, announced));
    assert.deepEqual(outcomeOf(await put(through(other, announced), BYTES)), [201, "READY"]);
    await first.send(BYTES.subarray(1000));
    assert.deepEqual(outcomeOf(await inTime("the answer", first.answer())), [409, "INVALID_INPUT", BYTES.length]);
    await assertArrived(world, announced);
  },
});

async function hasBegun(app: TestApp, announced: Announced): Promise<boolean> {
  const { status, progress } = await fileOf(app, announced);
  return status !== "INCOMING" || progress !== null;
}
