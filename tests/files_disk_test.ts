/** Promises of files on disk alone: privacy, a disk that is full or fails, processes that die, and requests that meet. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { AppError } from "../src/errors.ts";
import { openDiskFiles } from "../src/platform/files_disk.ts";
import { assertSameBytes, Body, Broken, bytesOf, readAll } from "./support/bodies.ts";
import { ROOT } from "./support/code.ts";
import { eventually } from "./support/eventually.ts";
import { inheritedEnv } from "./support/processes.ts";
import { Notes, pathsBelow, storageOnDisk } from "./support/storages.ts";

const MIB = 1024 * 1024;
const KEY = "01234567-5f0c/upload";
const LARGE = bytesOf(9 * MIB + 5);
const isLinux = Deno.build.os === "linux";

Deno.test("files and directories are the server's alone", async () => {
  await using storage = await storageOnDisk();
  const files = storage.open();
  await files.store(KEY, new Body(LARGE).stream);
  await assert.rejects(files.store(KEY, new Body(LARGE, { breaksAt: 5 * MIB }).stream, new Notes()), Broken);
  const paths = await pathsBelow(storage.directory);
  assert.equal(paths.length, 5, "files/01/01234567-5f0c, the file and a part of one");
  for (const path of paths) {
    const { mode, isDirectory } = await Deno.stat(path);
    assert.equal((mode ?? 0) & 0o777, isDirectory ? 0o700 : 0o600, path);
  }
});

Deno.test("the directory of a file goes with the last of it", async () => {
  await using storage = await storageOnDisk();
  const files = storage.open();
  const other = KEY.replace("upload", "small");
  for (const key of [KEY, other]) await files.store(key, new Body(LARGE.subarray(0, 10)).stream);
  await files.delete(KEY);
  assertSameBytes(await readAll(await files.read(other)), LARGE.subarray(0, 10));
  await files.delete(other);
  assert.deepEqual(
    await pathsBelow(storage.directory),
    ["files/", "files/01/"].map((path) => join(storage.directory, path)),
  );
});

Deno.test({
  name: "a full disk is told as UNAVAILABLE, the sender is stopped, and nothing is there that is not whole",
  ignore: !isLinux,
  async fn() {
    await using storage = await storageOnDisk();
    const session = crypto.randomUUID();
    const part = join(storage.directory, "files", "01", `${KEY}.${session}.part`);
    await Deno.mkdir(join(part, ".."), { recursive: true });
    await Deno.symlink("/dev/full", part); // a file to which nothing can be written
    // In a process that may open devices.
    await using child = startStoring(
      storage.directory,
      `{ from: { byteSize: 0, session: "${session}" }, onSafe: () => Promise.resolve() }`,
    );
    await child.send(LARGE.subarray(0, MIB));
    const { code, message, cause } = JSON.parse(await child.printed());
    const full = "Cannot reach the files: the disk is full";
    assert.deepEqual({ code, message, cause }, { code: "UNAVAILABLE", message: full, cause: "ENOSPC" });
    assert.equal(await storage.open().read(KEY), null);
  },
});

Deno.test("a disk that fails is told as UNAVAILABLE, whatever is asked of it", async () => {
  await using storage = await storageOnDisk();
  await Deno.writeTextFile(join(storage.directory, "files"), "where there should be a directory");
  const files = storage.open();
  const failing = {
    store: () => files.store(KEY, new Body(LARGE).stream),
    read: () => files.read(KEY),
    delete: () => files.delete(KEY),
    abandon: () => files.abandon(KEY, { byteSize: 0, session: crypto.randomUUID() }),
    check: () => files.check(),
  };
  for (const [name, failure] of Object.entries(failing)) {
    await assert.rejects(async () => void await failure(), (error: Error) => {
      assert.ok(error instanceof AppError && error.cause, name);
      assert.ok(!error.message.includes(storage.directory), "paths are nobody's business");
      return error.code === "UNAVAILABLE";
    }, name);
  }
});

Deno.test("what a process leaves that was killed goes with the file", async () => {
  await using storage = await storageOnDisk();
  await using child = startStoring(storage.directory);
  await child.send(LARGE.subarray(0, MIB));
  await eventually("a part is on disk", async () => await storage.countLeftovers() === 1);
  await child.kill();
  const files = storage.open();
  assert.equal(await files.read(KEY), null);
  await files.delete(KEY);
  assert.equal(await storage.countLeftovers(), 0);
});

Deno.test("a client that comes back does not wait for the connection that it lost", async () => {
  await using storage = await storageOnDisk();
  const files = storage.open();
  const [older, lost] = [new Notes(), new LostConnection(LARGE.subarray(0, 5 * MIB))];
  const lostOutcome = files.store(KEY, lost.stream, older).catch((error) => error);
  await lost.taken;
  const from = older.last;
  await files.store(KEY, new Body(LARGE, { from: from.byteSize }).stream, new Notes(from));
  assertSameBytes(await readAll(await files.read(KEY)), LARGE);
  const error = await lostOutcome;
  assert.deepEqual([error.code, lost.cancelReason], ["UNAVAILABLE", error]);
  assert.equal(await storage.countLeftovers(), 0);
});

Deno.test("a client that comes back to another node waits until the first one has let go", async () => {
  await using storage = await storageOnDisk();
  const [older, lost] = [new Notes(), new LostConnection(LARGE.subarray(0, 5 * MIB))];
  const lostOutcome = storage.open().store(KEY, lost.stream, older).catch((error) => error);
  await lost.taken;
  const from = older.last;
  const notes = new Notes(from);
  const goingOn = openDiskFiles(storage.directory).store(KEY, new Body(LARGE, { from: from.byteSize }).stream, notes);
  await lost.breakOff();
  assert.ok(await lostOutcome instanceof Broken);
  assert.ok(older.last.byteSize > from.byteSize, "what it had taken was safe in the end");
  await goingOn;
  assert.deepEqual(notes.all[0]?.byteSize, from.byteSize, "the later request says what counts from now on");
  assertSameBytes(await readAll(await storage.open().read(KEY)), LARGE);
});

Deno.test("a request on another node does not write between the bytes of one that goes on", async () => {
  await using storage = await storageOnDisk();
  const [older, slow] = [new Notes(), new LostConnection(LARGE.subarray(0, 5 * MIB))];
  const outcome = storage.open().store(KEY, slow.stream, older);
  await slow.taken;
  const from = older.last;
  const rest = new LostConnection(LARGE.subarray(from.byteSize, from.byteSize + 1000));
  const late = openDiskFiles(storage.directory).store(KEY, rest.stream, new Notes(from)).catch((error) => error);
  // Time enough to write, were it not for the lock.
  for (let times = 0; times < 200; times++) await pathsBelow(storage.directory);
  slow.end(LARGE.subarray(5 * MIB));
  await outcome;
  assertSameBytes(await readAll(await storage.open().read(KEY)), LARGE);
  assert.equal((await late).code, "NOT_FOUND");
});

Deno.test("a file that is deleted while it comes in does not come back", async () => {
  await using storage = await storageOnDisk();
  const files = storage.open();
  const lost = new LostConnection(LARGE.subarray(0, 5 * MIB));
  const outcome = files.store(KEY, lost.stream).catch((error) => error);
  await lost.taken;
  await files.delete(KEY);
  lost.end();
  assert.equal((await outcome).code, "NOT_FOUND");
  assert.equal(await files.read(KEY), null);
  assert.equal((await pathsBelow(storage.directory)).length, 2);
});

/** Another process, which stores what it is sent, and prints how it failed. */
function startStoring(directory: string, transfer = "undefined") {
  const [url, where, key] = [join(ROOT, "src/platform/files_disk.ts"), directory, KEY].map((text) =>
    JSON.stringify(text)
  );
  const code = `import { openDiskFiles } from ${url};
    await openDiskFiles(${where}).store(${key}, Deno.stdin.readable, ${transfer}).catch(({ code, message, cause }) => {
      console.log(JSON.stringify({ code, message, cause: cause.code }));
    });`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", code],
    clearEnv: true,
    env: inheritedEnv(),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const printed = new Response(child.stdout).text();
  const kill = async () => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // has ended already
    }
    await Promise.all([child.status, printed]);
    await writer.abort().catch(() => {}); // its reader is gone
  };
  return {
    send: (bytes: Uint8Array) => writer.write(bytes).catch(() => {}), // it may want no more
    printed: () => printed,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/** A body that has given all that came, and does not hear that nothing more will. */
class LostConnection {
  readonly stream: ReadableStream<Uint8Array>;
  /** Once all of it has been written. */
  readonly taken: Promise<void>;
  cancelReason: unknown;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(bytes: Uint8Array) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.taken = promise;
    let at = 0;
    this.stream = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
      pull(controller) {
        if (at >= bytes.length) return resolve();
        controller.enqueue(bytes.slice(at, at += 65_536));
      },
      cancel: (reason) => void (this.cancelReason = reason),
    }, { highWaterMark: 0 });
  }

  breakOff(): void {
    this.#controller?.error(new Broken("the connection is lost"));
  }

  end(last = new Uint8Array()): void {
    if (last.length > 0) this.#controller?.enqueue(last);
    this.#controller?.close();
  }
}
