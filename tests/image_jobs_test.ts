/** Promises about an image on its way from a stored upload to something that can be shown. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { IMAGE_SIZES, renditionKey, uploadKey } from "../src/uploads/files.ts";
import { deleteProcessed, deleteUnused } from "../src/uploads/deletions.ts";
import { fileTopic, keepProcessing, queueImage, requeueLost } from "../src/uploads/image_jobs.ts";
import { ImagePool, ImageRefused, ImageWorkerLost } from "../src/uploads/image_pool.ts";
import type { TestApp } from "./support/app.ts";
import type { Bytes } from "./support/bytes.ts";
import { isClustered, terminateBackends, TEST_DATABASE_URL } from "./support/databases.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { asBytes, photo, processImage, quarters } from "./support/images.ts";
import { ServerProcess } from "./support/processes.ts";
import { countEvents, findFile, listStored, startWithRoom, storeImage } from "./support/stored_images.ts";

const RENDITIONS = IMAGE_SIZES.map((size) => size.toLowerCase());
const small: Bytes = await asBytes(quarters(300, 200).jpeg());
/** Takes a moment, so that it can be disturbed. */
const large: Bytes = await asBytes((await photo(3000, 2000)).jpeg());
const broken = small.slice(0, small.length / 2);

Deno.test("an image that was sent becomes READY, its room hears of it, and the bytes as they came are gone", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const image = await storeImage(app, small, { by, room });
  const { promise: hint, resolve } = Promise.withResolvers<unknown>();
  await app.app.bus.subscribe(fileTopic(image.fileId), resolve);
  await queueImage(app.app, image.fileId);
  assert.deepEqual(await inTime("the hint", hint), { fileId: image.fileId, status: "READY" });
  await eventually("its upload is gone", async () => !(await findFile(app, image.fileId)).hasUpload);
  const { status, width, height, thumbhash, renditions } = await findFile(app, image.fileId);
  assert.deepEqual([status, width, height], ["READY", 300, 200]);
  assert.ok(Uint8Array.fromBase64(thumbhash ?? "").length > 0);
  assert.deepEqual(await listStored(app, image.fileId), RENDITIONS);
  for (const size of IMAGE_SIZES) {
    const stored = await new Response(await app.app.files.read(renditionKey(image.fileId, size)) as BodyInit).bytes();
    const sha256 = createHash("sha256").update(stored).digest("hex");
    const mediaType = size === "ORIGINAL" ? "image/jpeg" : "image/webp";
    assert.deepEqual(renditions?.[size], { mediaType, byteSize: stored.length, sha256 });
  }
  assert.equal(await countEvents(app, image), 1);
  const [{ actorId, seq, lastSeq }] = await app.app.sql<[{ actorId: string; seq: number; lastSeq: number }]>`
    select actor_id, seq, last_seq
    from room_events
    join rooms on rooms.id = room_id
    where subject_id = ${image.attachmentId}`;
  assert.equal(seq, lastSeq);
  assert.equal(actorId, (await findFile(app, image.fileId)).ownerId);
});

Deno.test("an image that is not sent yet becomes READY without a word to the room", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const image = await storeImage(app, small, { by, room, isSent: false });
  await queueImage(app.app, image.fileId);
  await untilStatus(app, [image.fileId], "READY");
  assert.equal(await countEvents(app, image), 0);
});

Deno.test("a broken image is FAILED at once, its room hears of it, and only what was uploaded stays", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const image = await storeImage(app, broken, { by, room });
  await app.app.files.store(renditionKey(image.fileId, "LARGE"), new Blob(["of a try that died"]).stream());
  await queueImage(app.app, image.fileId);
  await untilStatus(app, [image.fileId], "FAILED");
  await eventually("what was made is gone", async () => (await listStored(app, image.fileId)).join() === "upload");
  assert.equal(await countEvents(app, image), 1);
});

Deno.test("an image whose bytes are missing waits for a day, and one that nobody wants any more leaves nothing", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const [gone, unwanted] = [await storeImage(app, small, { by, room }), await storeImage(app, small, { by, room })];
  await app.app.files.delete(uploadKey(gone.fileId));
  await app.app.sql`update files set status = 'DELETING' where id = ${unwanted.fileId}`;
  for (const { fileId } of [unwanted, gone]) await queueImage(app.app, fileId);
  await eventually("no job is left", async () => (await app.app.jobs.listKeys("images")).size === 0);
  assert.equal((await findFile(app, gone.fileId)).status, "PROCESSING", "they may be where another process looks");
  await app.app.sql`update files set created_at = now() - interval '25 hours' where id = ${gone.fileId}`;
  await requeueLost(app.app);
  await untilStatus(app, [gone.fileId], "FAILED");
  assert.deepEqual(await listStored(app, unwanted.fileId), ["upload"], "whoever deletes it knows of this one alone");
});

Deno.test("what a killed process has made of an image that was deleted meanwhile is deleted too", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const { fileId, attachmentId } = await storeImage(app, small, { by, room, isSent: false });
  await app.app.sql`delete from attachments where id = ${attachmentId}`;
  await deleteUnused(app.app);
  await app.app.files.store(renditionKey(fileId, "LARGE"), new Blob([small]).stream());
  await queueImage(app.app, fileId);
  await eventually("nothing is left", async () => (await listStored(app, fileId)).length === 0);
});

Deno.test("an image is made once, however often it is asked for", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const image = await storeImage(app, small, { by, room });
  for (let round = 0; round < 3; round++) await queueImage(app.app, image.fileId);
  await untilStatus(app, [image.fileId], "READY");
  await queueImage(app.app, image.fileId);
  await eventually("no job is left", async () => (await app.app.jobs.listKeys("images")).size === 0);
  assert.equal(await countEvents(app, image), 1);
});

Deno.test("a job that was lost is found again", async () => {
  const { app, by, room } = await startWithRoom({ IMAGE_WORKERS: "0" });
  await using _app = app;
  const old = await storeImage(app, small, { by, room });
  const young = await storeImage(app, small, { by, room, ageSeconds: 0 });
  await requeueLost(app.app);
  await requeueLost(app.app);
  assert.deepEqual([...await app.app.jobs.listKeys("images")], [old.fileId], "the other may be about to get its job");
  await queueImage(app.app, young.fileId);
  await using _processing = keepProcessing(app.app);
  await untilStatus(app, [old.fileId, young.fileId], "READY");
});

Deno.test("what a crash has left of an upload after its image was made is deleted", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const { fileId } = await storeImage(app, small, { by, room });
  await queueImage(app.app, fileId);
  await untilStatus(app, [fileId], "READY");
  await eventually("no job is left", async () => (await app.app.jobs.listKeys("images")).size === 0);
  await app.app.files.store(uploadKey(fileId), new Blob([small]).stream());
  await app.app.sql`update files set has_upload = true where id = ${fileId}`;
  await deleteProcessed(app.app);
  assert.deepEqual(await listStored(app, fileId), RENDITIONS);
  assert.equal((await findFile(app, fileId)).hasUpload, false);
});

Deno.test("images are made although their process is killed in the middle", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const { pool } = app.app.once(keepProcessing);
  const images = await Promise.all(Array.from({ length: 4 }, () => storeImage(app, large, { by, room })));
  for (const { fileId } of images) await queueImage(app.app, fileId);
  for (let kills = 0; kills < 2; kills++) {
    const [pid] = await untilProcess(pool);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 400)); // anywhere: while it starts, decodes, writes
    kill(pid);
    await eventually("it is gone", () => !pool.pids.includes(pid));
  }
  await untilStatus(app, images.map(({ fileId }) => fileId), "READY");
  for (const image of images) {
    assert.equal(await countEvents(app, image), 1);
    assert.deepEqual((await listStored(app, image.fileId)).slice(-4), RENDITIONS);
  }
});

Deno.test("an image that costs its process every time is FAILED in the end", async () => {
  const { app, by, room } = await startWithRoom();
  await using _app = app;
  const { pool } = app.app.once(keepProcessing);
  const image = await storeImage(app, large, { by, room });
  await queueImage(app.app, image.fileId);
  await eventually("every try has failed", async () => {
    pool.pids.forEach(kill);
    return (await findFile(app, image.fileId)).status === "FAILED";
  });
  assert.equal(await countEvents(app, image), 1);
  await eventually("what was made is gone", async () => (await listStored(app, image.fileId)).join() === "upload");
});

Deno.test("while the storage is away an image waits, and is not given up", async () => {
  const { app, by, room } = await startWithRoom({ IMAGE_WORKERS: "0" });
  await using _app = app;
  const image = await storeImage(app, small, { by, room });
  const directory = `${app.app.config.dataDir}/files`;
  await Deno.rename(directory, `${directory}.away`);
  await Deno.writeTextFile(directory, "where a directory should be");
  await using _processing = keepProcessing(app.app);
  for (let tries = 1; tries <= 5; tries++) {
    await requeueLost(app.app);
    await eventually("it was tried", async () => (await app.app.jobs.listKeys("images")).size === 0);
  }
  assert.equal((await findFile(app, image.fileId)).status, "PROCESSING");
  await Deno.remove(directory);
  await Deno.rename(`${directory}.away`, directory);
  await requeueLost(app.app);
  await untilStatus(app, [image.fileId], "READY");
});

Deno.test("a process that does not answer is killed, and the next image gets a new one", async () => {
  await using pool = new ImagePool(1, 500);
  await processImage(pool, small, { mediaType: "image/jpeg" });
  const [pid = 0] = pool.pids;
  Deno.kill(pid, "SIGSTOP");
  await assert.rejects(processImage(pool, small, { mediaType: "image/jpeg" }), ImageWorkerLost);
  assert.deepEqual(pool.pids, []);
  await processImage(pool, small, { mediaType: "image/jpeg" });
  assert.notEqual(pool.pids[0], pid);
});

Deno.test("a pool works on as many images at once as it may, and is empty once it is disposed", async () => {
  const pool = new ImagePool(2);
  const results = await Promise.all(
    Array.from({ length: 6 }, () => processImage(pool, small, { mediaType: "image/jpeg" })),
  );
  assert.equal(results.length, 6);
  assert.equal(pool.pids.length, 2);
  const interrupted = assert.rejects(processImage(pool, large, { mediaType: "image/jpeg" }), ImageWorkerLost);
  await pool[Symbol.asyncDispose]();
  await interrupted;
  assert.deepEqual(pool.pids, []);
  await assert.rejects(processImage(pool, small, { mediaType: "image/jpeg" }), ImageWorkerLost);
});

Deno.test("a body that breaks off, or that nobody takes, costs one process and no more", async () => {
  await using pool = new ImagePool(1);
  const request = { purpose: "ATTACHMENT", mediaType: "image/jpeg", byteSize: small.length } as const;
  const breaks = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(small.subarray(0, 100));
    },
    pull(controller) {
      controller.error(new Error("the storage went away"));
    },
  });
  await assert.rejects(pool.process(request, breaks, () => Promise.resolve()), /the storage went away/);
  const short = new Blob([small.subarray(0, 50)]).stream();
  await assert.rejects(pool.process(request, short, () => Promise.resolve()), /has not the \d+ bytes/);
  const whole = () => new Blob([small]).stream();
  await assert.rejects(pool.process(request, whole(), () => Promise.reject(new Error("disk full"))), /disk full/);
  await assert.rejects(
    pool.process({ ...request, byteSize: 200_000_000 }, whole(), () => Promise.resolve()),
    ImageRefused,
  );
  assert.equal((await processImage(pool, small, { mediaType: "image/jpeg" })).width, 300);
  assert.equal(pool.pids.length, 1);
});

Deno.test({
  name: "an image is made although the database ends every connection again and again",
  ignore: TEST_DATABASE_URL === null,
  async fn() {
    const { app, by, room } = await startWithRoom({ IMAGE_WORKERS: "2" });
    await using _app = app;
    const images = await Promise.all(Array.from({ length: 6 }, () => storeImage(app, large, { by, room })));
    for (const { fileId } of images) await queueImage(app.app, fileId);
    for (let cuts = 0; cuts < 4; cuts++) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300)); // anywhere in the work
      await terminateBackends(app.app.sql).catch(() => {});
    }
    await eventually("all are READY", async () => {
      await requeueLost(app.app).catch(() => {});
      const files = await Promise.all(images.map(({ fileId }) => findFile(app, fileId))).catch(() => []);
      return files.length > 0 && files.every(({ status }) => status === "READY");
    });
    for (const image of images) assert.equal(await countEvents(app, image), 1);
  },
});

Deno.test({
  name: "images are made by a worker of its own, also after another one was killed in the middle",
  ignore: !isClustered,
  async fn() {
    const { app, by, room } = await startWithRoom({ IMAGE_WORKERS: "0" });
    await using _app = app;
    const images = await Promise.all(Array.from({ length: 5 }, () => storeImage(app, large, { by, room })));
    for (const { fileId } of images) await queueImage(app.app, fileId);
    await using victim = new ServerProcess(app.settings, "workers/main.ts");
    await eventually("it is at work", async () => (await listStored(app, images[0]?.fileId ?? "")).length > 1);
    await victim.kill("SIGKILL");
    await using worker = new ServerProcess(app.settings, "workers/main.ts");
    await untilStatus(app, images.map(({ fileId }) => fileId), "READY");
    for (const image of images) assert.equal(await countEvents(app, image), 1);
    assert.equal((await worker.kill("SIGTERM")).code, 0);
  },
});

Deno.test("a worker without a database of all servers says why it does not start", async () => {
  const directory = await Deno.makeTempDir();
  await using worker = new ServerProcess({ DATA_DIR: directory }, "workers/main.ts");
  assert.equal((await worker.status).code, 1);
  assert.match(await worker.printed(), /^Cannot start a worker: .* set DATABASE_URL$/m);
  await assert.rejects(worker.api());
  await Deno.remove(directory, { recursive: true });
});

async function untilStatus(app: TestApp, fileIds: readonly string[], status: string): Promise<void> {
  for (const fileId of fileIds) {
    await eventually(`${fileId} is ${status}`, async () => (await findFile(app, fileId)).status === status);
  }
}

async function untilProcess(pool: ImagePool): Promise<[number]> {
  await eventually("a process runs", () => pool.pids.length > 0);
  return [pool.pids[0] ?? 0];
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch { /* has ended already */ }
}
