/** Promises of files in a bucket alone: signatures, answers that are lost or say no, networks that break, and flat memory. */
import { strict as assert } from "node:assert";
import { AppError } from "../src/errors.ts";
import type { Files, Progress } from "../src/platform/files.ts";
import { openS3Files } from "../src/platform/files_s3.ts";
import { assertSameBytes, Body, bytesOf, readAll } from "./support/bodies.ts";
import { HangingStorage } from "./support/hanging_storages.ts";
import { type S3Failure, S3Server } from "./support/s3_server.ts";
import { Notes } from "./support/storages.ts";
import { Wire } from "./support/wires.ts";

const MIB = 1024 * 1024;
const PIECE_BYTES = 5 * MIB;
const KEY = "01234567-5f0c/upload";
const LARGE = bytesOf(2 * PIECE_BYTES + 12_345);
const SMALL = LARGE.subarray(0, 10_000);
/** Tries again at once. */
const HASTY = { pauseMs: 10 };

Deno.test("a wrong secret is refused, and none is ever told", async () => {
  await using server = await S3Server.start();
  const secretAccessKey = "not the one that it knows";
  const files = openS3Files({ ...server.config, secretAccessKey });
  const refused = [
    () => files.check(),
    () => files.store(KEY, new Body(SMALL).stream),
    () => files.store(KEY, new Body(LARGE).stream),
    () => files.read(KEY),
    () => files.delete(KEY),
  ];
  for (const act of refused) {
    const error = await Promise.resolve(act()).then(() => null, (error) => error);
    assert.ok(error instanceof AppError, String(act));
    assert.deepEqual([error.code, typeof error.details.retryAfterMs], ["UNAVAILABLE", "number"], String(act));
    assert.match(error.message, /^Cannot reach the files: the storage answers 403/);
    const told = Deno.inspect(error, { depth: 10 });
    assert.ok(!told.includes(secretAccessKey) && !told.includes("Signature="), told);
  }
  await openS3Files(server.config).check();
});

Deno.test("a bucket that is not there is told as UNAVAILABLE, not as a file that is not there", async () => {
  await using server = await S3Server.start();
  const files = openS3Files({ ...server.config, bucket: "elsewhere" });
  for (const act of [() => files.check(), () => files.read(KEY), () => files.delete(KEY)]) {
    await assert.rejects(async () => void await act(), { code: "UNAVAILABLE" });
  }
});

const SLOW_DOWN = { status: 503, code: "SlowDown" };
const PASSING: Record<string, S3Failure> = {
  "a file that is answered SlowDown": { method: "PUT", ...SLOW_DOWN },
  "a beginning that is answered SlowDown": { method: "POST", part: "uploads", ...SLOW_DOWN },
  "a piece that is answered SlowDown": { method: "PUT", part: "partNumber", ...SLOW_DOWN },
  "a piece that was taken, though the answer says no": {
    ...{ method: "PUT", part: "partNumber", isAfterwards: true },
    ...{ status: 500, code: "InternalError" },
  },
  "an end that is answered 200 with an error": {
    ...{ method: "POST", part: "uploadId", status: 200, code: "InternalError" },
  },
  "an end that was taken, though the answer says no": {
    ...{ method: "POST", part: "uploadId", isAfterwards: true },
    ...{ status: 500, code: "InternalError" },
  },
  "an answer to what is stored that is answered SlowDown": { method: "HEAD", ...SLOW_DOWN },
};

Deno.test("what passes is tried again, and the file is stored once and whole", async (test) => {
  await using server = await S3Server.start();
  const files = openS3Files(server.config, HASTY);
  for (const [name, failure] of Object.entries(PASSING)) {
    await test.step(name, async () => {
      for (const bytes of failure.part ? [LARGE] : [SMALL, LARGE]) {
        await server.fail(failure);
        await files.store(KEY, new Body(bytes).stream);
        assertSameBytes(await readAll(await files.read(KEY)), bytes);
      }
      assert.equal(await server.countLeftovers(), 0);
    });
  }
  await test.step("reading and deleting", async () => {
    for (const method of ["GET", "DELETE"]) await server.fail({ method, ...SLOW_DOWN });
    assertSameBytes(await readAll(await files.read(KEY)), LARGE);
    await files.delete(KEY);
    assert.equal(await files.read(KEY), null);
  });
});

Deno.test("what does not pass is told after some tries, and the transfer goes on later", async () => {
  await using server = await S3Server.start();
  const files = openS3Files(server.config, HASTY);
  for (let times = 0; times < 3; times++) await server.fail({ method: "POST", part: "uploadId", ...SLOW_DOWN });
  const notes = new Notes();
  const isAway = { code: "UNAVAILABLE", message: "Cannot reach the files: the storage answers 503 SlowDown" };
  await assert.rejects(files.store(KEY, new Body(LARGE).stream, notes), isAway);
  assert.equal(notes.last.byteSize, LARGE.length);
  await files.store(KEY, new Body(LARGE, { from: LARGE.length }).stream, new Notes(notes.last));
  assertSameBytes(await readAll(await files.read(KEY)), LARGE);
});

Deno.test("pieces that the storage has lost are no file: the transfer has to begin again", async () => {
  await using server = await S3Server.start();
  const [files, notes] = [openS3Files(server.config), new Notes()];
  await assert.rejects(files.store(KEY, new Body(LARGE, { breaksAt: PIECE_BYTES + 1 }).stream, notes));
  const { last } = notes;
  for (const parts of [['"0123"'], []]) {
    const from = { ...last, parts };
    const body = new Body(LARGE, { from: last.byteSize });
    await assert.rejects(files.store(KEY, body.stream, new Notes(from)), { code: "NOT_FOUND" });
  }
  assert.equal(await files.read(KEY), null);
});

Deno.test("a file of another upload, of the same size, is not taken for the end of this one", async () => {
  await using server = await S3Server.start();
  const [files, notes] = [openS3Files(server.config), new Notes()];
  const onSafe = async (progress: Progress) => {
    await notes.onSafe(progress);
    if (progress.byteSize === LARGE.length) throw new Error("lost before its end");
  };
  await assert.rejects(files.store(KEY, new Body(LARGE).stream, { from: null, onSafe }), /lost before its end/);
  await files.abandon(KEY, notes.last);
  const other = bytesOf(LARGE.length, 7);
  await files.store(KEY, new Body(other).stream, new Notes());
  const nothingMore = new Body(new Uint8Array());
  await assert.rejects(files.store(KEY, nothingMore.stream, new Notes(notes.last)), { code: "NOT_FOUND" });
  assertSameBytes(await readAll(await files.read(KEY)), other);
});

Deno.test("connections that break again and again lose nothing: each transfer goes on where it was safe", async () => {
  await using server = await S3Server.start();
  await using wire = await Wire.to(server.port);
  const files = openS3Files({ ...server.config, endpoint: `http://127.0.0.1:${wire.port}` });
  const transfers = Array.from(
    { length: 4 },
    (_, seed) => ({ key: `${KEY}-${seed}`, bytes: bytesOf(LARGE.length, seed) }),
  );
  const store = async ({ key, bytes }: typeof transfers[number]) => {
    for (let notes = new Notes();; notes = new Notes(notes.all.at(-1) ?? notes.from)) {
      const body = new Body(bytes, { from: notes.from?.byteSize ?? 0 });
      const error = await files.store(key, body.stream, notes).then(() => null, (error) => error);
      if (error === null) return;
      assert.equal(error.code, "UNAVAILABLE");
    }
  };
  let cuts = 0; // an end to them, or a slow machine would never get a piece through
  const cutting = setInterval(() => cuts < 40 && wire.cut(() => cuts++ < 40), 70);
  await Promise.all(transfers.map(store)).finally(() => clearInterval(cutting));
  assert.ok(cuts > 4, "it was cut while they were on their way");
  for (const { key, bytes } of transfers) assertSameBytes(await readAll(await files.read(key)), bytes);
});

Deno.test("while the storage can't be reached all is UNAVAILABLE; then the transfer goes on", async () => {
  await using server = await S3Server.start();
  await using wire = await Wire.to(server.port);
  const files = openS3Files({ ...server.config, endpoint: `http://127.0.0.1:${wire.port}` }, HASTY);
  const notes = new Notes();
  const onSafe = async (progress: Progress) => {
    await notes.onSafe(progress);
    if (progress.byteSize === PIECE_BYTES) wire.refuse();
  };
  await assert.rejects(files.store(KEY, new Body(LARGE).stream, { from: null, onSafe }), { code: "UNAVAILABLE" });
  assert.equal(notes.last.byteSize, PIECE_BYTES);
  for (const act of [() => files.check(), () => files.read(KEY), () => files.delete(KEY)]) {
    await assert.rejects(async () => void await act(), { code: "UNAVAILABLE" });
  }
  wire.accept();
  await files.check();
  await files.store(KEY, new Body(LARGE, { from: PIECE_BYTES }).stream, new Notes(notes.last));
  assertSameBytes(await readAll(await files.read(KEY)), LARGE);
});

Deno.test("a file that stops on its way from the storage is an error, never a shorter file", async () => {
  await using server = await S3Server.start();
  await using wire = await Wire.to(server.port);
  const files = openS3Files({ ...server.config, endpoint: `http://127.0.0.1:${wire.port}` });
  await files.store(KEY, new Body(LARGE).stream);
  const stream = await files.read(KEY);
  const reader = stream?.getReader();
  assert.ok((await reader?.read())?.value);
  wire.cut();
  await assert.rejects(async () => {
    while (!(await reader?.read())?.done);
  }, { code: "UNAVAILABLE" });
});

Deno.test("a storage that swallows everything fails its check, and does not hold it up", async () => {
  await using server = await S3Server.start();
  await using wire = await Wire.to(server.port);
  wire.stall();
  const files = openS3Files({ ...server.config, endpoint: `http://127.0.0.1:${wire.port}` });
  const message = "Cannot reach the files: the storage does not answer";
  await assert.rejects(files.check(), { code: "UNAVAILABLE", message });
});

Deno.test("a storage that hangs is asked once, and a piece of a file has longer than a read or a small file", async () => {
  await using storage = new HangingStorage();
  const files = openS3Files(storage.config, { answerMsMax: 100 });
  let isOver = false;
  const large = files.store(KEY, new Body(LARGE.subarray(0, 100_000)).stream).finally(() => isOver = true);
  const [sent] = [assert.rejects(large, { code: "UNAVAILABLE" }), await storage.asked(1)];
  for (const act of [() => files.read(KEY), () => files.delete(KEY), () => files.store(KEY, new Body(SMALL).stream)]) {
    await assert.rejects(async () => void await act(), { code: "UNAVAILABLE" });
  }
  assert.deepEqual([storage.count, isOver], [4, false]);
  storage.hangUp();
  await sent;
});

Deno.test("however many files are ready to be sent, four are in memory and on their way at a time", async () => {
  const outcomes: Promise<void>[] = [];
  {
    await using storage = new HangingStorage();
    const files = openS3Files(storage.config, { pauseMs: 1 });
    for (let index = 0; index < 50; index++) {
      outcomes.push(assert.rejects(files.store(`${KEY}-${index}`, new Body(SMALL).stream), { code: "UNAVAILABLE" }));
    }
    await storage.asked(4);
    outcomes.push(assert.rejects(files.read(KEY), { code: "UNAVAILABLE" })); // waits for nobody
    await storage.asked(5);
    assert.equal(storage.count, 5);
  }
  await Promise.all(outcomes);
});

Deno.test("transfers that are slow take no memory, and don't hold up one that is fast", async () => {
  await using server = await S3Server.start();
  const files = openS3Files(server.config);
  await files.store(KEY, new Body(LARGE).stream);
  const beforeBytes = residentBytes();
  const slow = Array.from({ length: 50 }, () => new SlowBody(PIECE_BYTES - 1));
  const outcomes = slow.map(({ stream }, index) => files.store(`${KEY}-${index}`, stream));
  await Promise.all(slow.map(({ taken }) => taken));
  const takenBytes = residentBytes() - beforeBytes;
  assert.ok(takenBytes < 60 * MIB, `50 transfers with 5 MiB each take ${Math.round(takenBytes / MIB)} MiB`);
  await files.store(KEY, new Body(LARGE).stream);
  for (const body of slow) body.end();
  await Promise.all(outcomes);
  await assertAllThere(files, slow.length);
});

async function assertAllThere(files: Files, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const found = await readAll(await files.read(`${KEY}-${index}`));
    assert.equal(found?.length, PIECE_BYTES - 1);
  }
}

function residentBytes(): number {
  return Deno.memoryUsage().rss;
}

/** A body that gives so much, one shared chunk after another, and then waits. */
class SlowBody {
  static readonly #chunk = new Uint8Array(65_536);
  readonly stream: ReadableStream<Uint8Array>;
  readonly taken: Promise<void>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(byteSize: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.taken = promise;
    let left = byteSize;
    this.stream = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
      pull(controller) {
        if (left === 0) return resolve();
        const chunk = SlowBody.#chunk.subarray(0, left);
        left -= chunk.length;
        controller.enqueue(chunk);
      },
    }, { highWaterMark: 0 });
  }

  end(): void {
    this.#controller?.close();
  }
}
