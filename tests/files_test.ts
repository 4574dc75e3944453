/** What both storages promise: bytes come back as they were stored, all of them or none, and a transfer goes on where it was
 * safe. */
import { strict as assert } from "node:assert";
import { AppError } from "../src/errors.ts";
import type { Files } from "../src/platform/files.ts";
import { assertSameBytes, Body, Broken, bytesOf, readAll } from "./support/bodies.ts";
import { Notes, type Storage, storageInBucket, storageOnDisk } from "./support/storages.ts";

const MIB = 1024 * 1024;
/** More than any storage may take from a body before it has made it safe. */
const UNSAFE_MAX = 5 * MIB + 65_536;
const LARGE = bytesOf(20 * MIB + 12_345);

let keys = 0;
const newKey = () => `${String(keys++).padStart(8, "0")}-5f0c/upload`;
const store = (files: Files, key: string, bytes: Uint8Array) => files.store(key, new Body(bytes).stream);

const CONTRACT: Record<string, (storage: Storage) => Promise<void>> = {
  async "what is stored is read back, byte for byte"(storage) {
    const files = storage.open();
    for (const byteSize of [0, 1, 65_537, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, LARGE.length]) {
      const key = newKey();
      await store(files, key, LARGE.subarray(0, byteSize));
      assertSameBytes(await readAll(await files.read(key)), LARGE.subarray(0, byteSize), `of ${byteSize}`);
    }
    assert.equal(await storage.countLeftovers(), 0);
  },

  async "what is stored again replaces what was there"(storage) {
    const [files, key] = [storage.open(), newKey()];
    for (const byteSize of [6 * MIB, 1000, 7 * MIB, 0]) {
      await store(files, key, bytesOf(byteSize, byteSize));
      assertSameBytes(await readAll(await files.read(key)), bytesOf(byteSize, byteSize));
    }
  },

  async "a range is those bytes, and what lies beyond the end is left out"(storage) {
    const [files, key] = [storage.open(), newKey()];
    await store(files, key, LARGE);
    const { length } = LARGE;
    const ranges = [[0, 10], [7, 7], [1, 2], [MIB - 3, MIB + 200_000], [length - 3, length + 100], [0, length + 1]];
    for (const [start = 0, end = 0] of [...ranges, [length, length + 5], [length + 5, length + 9]]) {
      const found = await readAll(await files.read(key, { start, end }));
      assertSameBytes(found, LARGE.subarray(start, end), `of ${start} to ${end}`);
    }
  },

  async "where nothing is, nothing is read, and there is nothing to delete"(storage) {
    const [files, key] = [storage.open(), newKey()];
    assert.equal(await files.read(key), null);
    assert.equal(await files.read(key, { start: 1, end: 5 }), null);
    assert.equal(await files.read(key, { start: 1, end: 1 }), null);
    await files.delete(key);
    await store(files, key, LARGE.subarray(0, 10));
    await files.delete(key);
    await files.delete(key);
    assert.equal(await files.read(key), null);
  },

  async "a body that breaks off leaves nothing, and what was there before stays"(storage) {
    const files = storage.open();
    for (const breaksAt of [0, 1, 70_000, 5 * MIB, 5 * MIB + 1, 12 * MIB]) {
      const key = newKey();
      await assert.rejects(files.store(key, new Body(LARGE, { breaksAt }).stream), Broken);
      assert.equal(await files.read(key), null);
      await store(files, key, LARGE.subarray(0, 100));
      await assert.rejects(files.store(key, new Body(LARGE, { breaksAt }).stream), Broken);
      assertSameBytes(await readAll(await files.read(key)), LARGE.subarray(0, 100));
    }
    assert.equal(await storage.countLeftovers(), 0);
  },

  async "a transfer that breaks off anywhere, again and again, goes on in another process where it was safe"(storage) {
    for (
      const breaks of [[0, 1], [70_000, 70_001, 4 * MIB], [5 * MIB - 1, 5 * MIB, 5 * MIB + 1], [9 * MIB, LARGE.length]]
    ) {
      const key = newKey();
      let notes = new Notes();
      for (const breaksAt of breaks) {
        const from = notes.from?.byteSize ?? 0;
        await assert.rejects(storage.open().store(key, new Body(LARGE, { from, breaksAt }).stream, notes), Broken);
        assert.ok(breaksAt - (notes.all.at(-1)?.byteSize ?? 0) < UNSAFE_MAX, "little is lost");
        assert.equal(await storage.open().read(key), null, "half a file is none");
        notes = new Notes(notes.all.at(-1) ?? null);
      }
      const from = notes.from?.byteSize ?? 0;
      await storage.open().store(key, new Body(LARGE, { from }).stream, notes);
      assertSameBytes(await readAll(await storage.open().read(key)), LARGE, `after breaks at ${breaks}`);
    }
    assert.equal(await storage.countLeftovers(), 0);
  },

  async "what is safe grows, from the beginning of the session to all of it before the file is there"(storage) {
    const [files, key] = [storage.open(), newKey()];
    const body = new Body(LARGE);
    let [unsafeMax, last] = [0, 0];
    const onSafe = async ({ byteSize }: { readonly byteSize: number }) => {
      assert.ok(byteSize >= last);
      unsafeMax = Math.max(unsafeMax, body.taken - last);
      last = byteSize;
      assert.equal(await files.read(key), null);
    };
    await files.store(key, body.stream, { from: null, onSafe });
    assert.equal(last, LARGE.length);
    assert.ok(unsafeMax <= UNSAFE_MAX, `it took ${unsafeMax} bytes before any of them was safe`);
  },

  async "a transfer whose progress can't be noted ends with that error, and what was safe stays"(storage) {
    const [files, key, body] = [storage.open(), newKey(), new Body(LARGE)];
    const notes = new Notes();
    const failure = new Error("the row is gone");
    const onSafe = async (progress: Notes["last"]) => {
      if (progress.byteSize > 9 * MIB) throw failure;
      await notes.onSafe(progress);
    };
    await assert.rejects(files.store(key, body.stream, { from: null, onSafe }), failure);
    assert.equal(body.cancelReason, failure, "the sender is told to stop");
    assert.ok(body.taken < LARGE.length);
    assert.equal(await files.read(key), null);
    const from = notes.last;
    await files.store(key, new Body(LARGE, { from: from.byteSize }).stream, new Notes(from));
    assertSameBytes(await readAll(await files.read(key)), LARGE);
  },

  async "a transfer that begins anew does not touch the older one, which can be abandoned"(storage) {
    const [files, key] = [storage.open(), newKey()];
    const [older, newer] = [new Notes(), new Notes()];
    await assert.rejects(files.store(key, new Body(LARGE, { breaksAt: 11 * MIB }).stream, older), Broken);
    const other = bytesOf(12 * MIB, 7);
    await assert.rejects(files.store(key, new Body(other, { breaksAt: 6 * MIB }).stream, newer), Broken);
    const goOn = (bytes: Uint8Array, { last }: Notes) =>
      files.store(key, new Body(bytes, { from: last.byteSize }).stream, new Notes(last));
    await goOn(other, newer);
    assertSameBytes(await readAll(await files.read(key)), other);
    await files.abandon(key, older.last);
    await files.abandon(key, older.last);
    await assert.rejects(goOn(LARGE, older), { code: "NOT_FOUND" });
    assertSameBytes(await readAll(await files.read(key)), other);
    assert.equal(await storage.countLeftovers(), 0);
  },

  async "what came after the point where a transfer goes on is not part of the file"(storage) {
    const [files, key, notes] = [storage.open(), newKey(), new Notes()];
    await assert.rejects(files.store(key, new Body(LARGE, { breaksAt: 16 * MIB }).stream, notes), Broken);
    const from = notes.all[1];
    assert.ok(from && from.byteSize < notes.last.byteSize);
    const other = bytesOf(from.byteSize + 100_000, 7);
    other.set(LARGE.subarray(0, from.byteSize));
    await files.store(key, new Body(other, { from: from.byteSize }).stream, new Notes(from));
    assertSameBytes(await readAll(await files.read(key)), other);
  },

  async "what was lost just when its file was there has nothing more to send"(storage) {
    const [files, key, notes] = [storage.open(), newKey(), new Notes()];
    await files.store(key, new Body(LARGE).stream, notes);
    await storage.open().store(key, new Body(new Uint8Array()).stream, new Notes(notes.last));
    assertSameBytes(await readAll(await files.read(key)), LARGE);
  },

  async "a session that nobody knows has to begin again"(storage) {
    const [files, key] = [storage.open(), newKey()];
    const strange = crypto.randomUUID();
    for (const session of [strange, `${strange}/abc`, "../../etc", ""]) {
      const from = { byteSize: 5 * MIB, session, parts: ['"0"'] };
      const body = new Body(LARGE, { from: from.byteSize });
      await assert.rejects(files.store(key, body.stream, new Notes(from)), { code: "NOT_FOUND" }, session);
      assert.ok(body.cancelReason instanceof AppError, "the sender is told to stop");
      await files.abandon(key, from);
    }
    assert.equal(await files.read(key), null);
  },

  async "of two requests in one session neither spoils the file"(storage) {
    const [files, key] = [storage.open(), newKey()];
    const notes = new Notes();
    await assert.rejects(files.store(key, new Body(LARGE, { breaksAt: 6 * MIB }).stream, notes), Broken);
    const from = notes.last;
    const goOn = () => files.store(key, new Body(LARGE, { from: from.byteSize }).stream, new Notes(from));
    const outcomes = await Promise.allSettled([goOn(), goOn(), goOn()]);
    assert.ok(outcomes.some(({ status }) => status === "fulfilled"));
    assertSameBytes(await readAll(await files.read(key)), LARGE);
  },

  async "a read that is canceled ends"(storage) {
    const [files, key] = [storage.open(), newKey()];
    await store(files, key, LARGE);
    for (const range of [undefined, { start: MIB, end: 9 * MIB }]) {
      const reader = (await files.read(key, range))?.getReader();
      const first = await reader?.read();
      assert.ok(first?.value && first.value.length < MIB);
      await reader?.cancel();
      await (await files.read(key, range))?.cancel(); // before the first byte
    }
  },

  async "many are stored at once"(storage) {
    const files = storage.open();
    const many = Array.from({ length: 100 }, (_, seed) => ({ key: newKey(), bytes: bytesOf(100_000 + seed, seed) }));
    await Promise.all(many.map(({ key, bytes }) => store(files, key, bytes)));
    await Promise.all(many.map(async ({ key, bytes }) => assertSameBytes(await readAll(await files.read(key)), bytes)));
    await Promise.all(many.map(({ key }) => files.delete(key)));
    assert.equal(await storage.countLeftovers(), 0);
  },

  async "what is no key is refused: no path leads out of the storage"(storage) {
    const files = storage.open();
    for (
      const key of [
        "",
        "/",
        "../x",
        "ab/../../x",
        "ab//c",
        "/ab",
        "ab/",
        "AB/upload",
        "ab/x.part",
        "ab\0",
        "ab?uploads",
      ]
    ) {
      await assert.rejects(files.store(key, new Body(LARGE).stream), TypeError, key);
      await assert.rejects(files.read(key), TypeError, key);
      await assert.rejects(files.delete(key), TypeError, key);
      await assert.rejects(files.abandon(key, { byteSize: 0, session: "x" }), TypeError, key);
    }
  },

  async "it says that it is well"(storage) {
    await storage.open().check();
  },
};

for (const [name, open] of Object.entries({ "on disk": storageOnDisk, "in a bucket": storageInBucket })) {
  Deno.test(`files ${name}`, async (test) => {
    await using storage = await open();
    for (const [promise, check] of Object.entries(CONTRACT)) await test.step(promise, () => check(storage));
  });
}
