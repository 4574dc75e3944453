/** Transfers that break off and go on: wherever, however often, on whatever node, and with whatever is still under way. */
import { strict as assert } from "node:assert";
import { uploadKey } from "../src/uploads/files.ts";
import { startApp } from "./support/app.ts";
import { isClustered } from "./support/databases.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { S3Server } from "./support/s3_server.ts";
import {
  announceFile,
  arrange,
  assertArrived,
  breakOff,
  BYTES,
  fileOf,
  goOn,
  hasBegun,
  offsetOf,
  outcomeOf,
  put,
  SlowPut,
  streamed,
  through,
  TINY,
} from "./support/transfers.ts";
import { Wire } from "./support/wires.ts";

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
