/** Files in a directory: of one node, or on a volume that all nodes share. A file comes in beside its key as a part file, whose
 * name no key can have, and gets its name once it is whole and durable. */
import { basename, dirname, join } from "node:path";
import { AppError } from "../errors.ts";
import type { ByteRange } from "../lib/byte_ranges.ts";
import { ifThere, onDisk, writeAll } from "./disk.ts";
import { type Files, type Progress, requireKey, storageAway, type Transfer, transferIsOver } from "./files.ts";
import { pause } from "./timers.ts";

/** Bytes after which a transfer is made safe again. */
const SAFE_BYTES = 4 * 1024 * 1024;
const CHUNK_BYTES = 128 * 1024;
/** How long a request that goes on with a transfer waits for the one before it to let go of the part file. */
const TAKEOVER_MS = 5_000;
const TAKEOVER_POLL_MS = 50;
/** A directory that has just become empty may be deleted before the first file of another request is in it. */
const CREATE_TRIES_MAX = 10;

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export function openDiskFiles(dataDir: string): Files {
  return new DiskFiles(join(dataDir, "files"));
}

/** What writes one part file. */
interface Writer {
  readonly session: string;
  readonly file: Deno.FsFile;
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly transfer: Transfer | undefined;
  /** Aborted where another request goes on with the transfer. */
  readonly signal: AbortSignal;
  byteSize: number;
  /** -1: as nobody has been told yet. */
  safeByteSize: number;
}

class DiskFiles implements Files {
  /** By part file, what ends the request of this process that writes it. */
  readonly #endings = new Map<string, AbortController>();

  constructor(private readonly root: string) {}

  async store(key: string, body: ReadableStream<Uint8Array>, transfer?: Transfer): Promise<void> {
    const path = this.#pathOf(key);
    const from = transfer?.from ?? null;
    const session = from?.session ?? crypto.randomUUID();
    const part = partOf(path, session);
    const reader = body.getReader();
    const { signal } = this.#takeOver(part, reader);
    try {
      using file = await this.#openPart(part, from);
      if (file === null) return await requireWhole(path, { reader, from });
      await receive({ session, file, reader, transfer, signal, byteSize: from?.byteSize ?? 0, safeByteSize: -1 });
      const isGone = await onDisk(() => isThere(Deno.rename(part, path))) === false;
      if (isGone) throw transferIsOver();
      await onDisk(() => syncDirectory(dirname(path)));
    } catch (error) {
      await reader.cancel(error).catch(() => {}); // a body that has failed says so again
      // What is left where this fails as well goes with the file: the first failure says more.
      if (!transfer) await this.#remove(part).catch(() => {});
      throw error;
    } finally {
      if (this.#endings.get(part)?.signal === signal) this.#endings.delete(part);
    }
  }

  async read(key: string, range?: ByteRange): Promise<ReadableStream<Uint8Array> | null> {
    const path = this.#pathOf(key);
    const file = await onDisk(() => ifThere(Deno.open(path)));
    if (file === null) return null;
    if (range) await onDisk(() => file.seek(range.start, Deno.SeekMode.Start));
    return streamOf(file, range ? Math.max(0, range.end - range.start) : Infinity);
  }

  /** With the part files of requests whose process has died. */
  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key);
    const [directory, name] = [dirname(path), basename(path)];
    for (const each of await onDisk(() => namesIn(directory))) {
      if (each === name || each.startsWith(`${name}.`)) await this.#remove(join(directory, each));
    }
  }

  async abandon(key: string, { session }: Progress): Promise<void> {
    const part = partOf(this.#pathOf(key), session);
    this.#endings.get(part)?.abort(transferIsOver());
    await this.#remove(part);
  }

  async check(): Promise<void> {
    await onDisk(async () => {
      await Deno.mkdir(this.root, { recursive: true, mode: DIRECTORY_MODE });
      const path = await Deno.makeTempFile({ dir: this.root, prefix: ".check-" });
      try {
        await Deno.writeTextFile(path, "x"); // a full disk still takes empty files
      } finally {
        await Deno.remove(path);
      }
    });
  }

  #pathOf(key: string): string {
    requireKey(key);
    return join(this.root, key.slice(0, 2), key);
  }

  /** Ends the request that writes the part file: the client has begun another one, and will hear nothing of the first. */
  #takeOver(part: string, reader: ReadableStreamDefaultReader<Uint8Array>): AbortController {
    const ending = new AbortController();
    ending.signal.addEventListener("abort", () => void reader.cancel(ending.signal.reason).catch(() => {}));
    this.#endings.get(part)?.abort(anotherGoesOn());
    this.#endings.set(part, ending);
    return ending;
  }

  /** `null` where there is no transfer to go on with. */
  async #openPart(part: string, from: Progress | null): Promise<Deno.FsFile | null> {
    if (from === null) return await this.#createPart(part);
    const file = await onDisk(() => ifThere(Deno.open(part, { read: true, write: true })));
    if (file === null) return null;
    using opened = new DisposableStack();
    opened.use(file);
    await lock(file);
    // The one who had the lock may have come to the end.
    if (!await onDisk(() => isThere(Deno.lstat(part)))) return null;
    const { size } = await onDisk(() => file.stat());
    if (size < from.byteSize) throw transferIsOver();
    // What lies beyond may not be what was sent.
    if (size > from.byteSize) await onDisk(() => file.truncate(from.byteSize));
    await onDisk(() => file.seek(from.byteSize, Deno.SeekMode.Start));
    opened.move(); // it stays open
    return file;
  }

  async #createPart(part: string): Promise<Deno.FsFile> {
    const file = await this.#createFile(part);
    using opened = new DisposableStack();
    opened.use(file);
    await lock(file);
    // A file is as durable as the names on the way to it.
    for (let path = part; path !== this.root;) await onDisk(() => syncDirectory(path = dirname(path)));
    opened.move(); // it stays open
    return file;
  }

  async #createFile(part: string): Promise<Deno.FsFile> {
    for (let tries = 1;; tries++) {
      await onDisk(() => Deno.mkdir(dirname(part), { recursive: true, mode: DIRECTORY_MODE }));
      const created = Deno.open(part, { createNew: true, write: true, mode: FILE_MODE });
      const file = await onDisk(() => tries < CREATE_TRIES_MAX ? ifThere(created) : created);
      if (file) return file;
    }
  }

  async #remove(path: string): Promise<void> {
    await onDisk(() => isThere(Deno.remove(path)));
    const directory = dirname(path);
    if (dirname(directory) === this.root) return; // those are few
    await onDisk(() => removeIfEmpty(directory));
  }
}

function partOf(path: string, session: string): string {
  // That of another storage: nothing goes by that name here.
  return /^[\w-]+$/.test(session) ? `${path}.${session}.part` : `${path}.foreign.part`;
}

/** Writes all of the body and makes it durable; of a transfer also what came before the body broke off. */
async function receive(writer: Writer): Promise<void> {
  const { file, reader, transfer } = writer;
  if (transfer) await makeSafe(writer, transfer);
  while (true) {
    const read = reader.read();
    if (transfer) await read.catch(() => makeSafe(writer, transfer));
    const { value: bytes, done } = await read;
    writer.signal.throwIfAborted();
    if (done) break;
    await onDisk(() => writeAll(file, bytes));
    writer.byteSize += bytes.length;
    if (transfer && writer.byteSize - writer.safeByteSize >= SAFE_BYTES) await makeSafe(writer, transfer);
  }
  if (transfer) await makeSafe(writer, transfer);
  else await onDisk(() => file.sync());
}

async function makeSafe(writer: Writer, transfer: Transfer): Promise<void> {
  const { byteSize, session, file } = writer;
  if (byteSize === writer.safeByteSize) return;
  if (writer.safeByteSize >= 0) await onDisk(() => file.sync());
  await transfer.onSafe({ byteSize, session });
  writer.safeByteSize = byteSize;
}

/** Where a request was lost just after its file got its name, the next one has nothing to add. */
async function requireWhole(path: string, { reader, from }: {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly from: Progress | null;
}): Promise<void> {
  const found = await onDisk(() => ifThere(Deno.stat(path)));
  if (found?.size !== from?.byteSize) throw transferIsOver();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    if (read.value.length > 0) throw transferIsOver();
  }
}

/** Of one who writes a part file, also against another node that shares the volume. */
async function lock(file: Deno.FsFile): Promise<void> {
  const giveUpAtMs = performance.now() + TAKEOVER_MS;
  while (!await onDisk(() => file.tryLock(true))) {
    if (performance.now() > giveUpAtMs) throw storageAway("another request still writes the same file", undefined);
    await pause(TAKEOVER_POLL_MS);
  }
}

/** Reads no more than it is asked for. */
function streamOf(file: Deno.FsFile, byteSize: number): ReadableStream<Uint8Array> {
  let left = byteSize;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const bytes = new Uint8Array(Math.min(CHUNK_BYTES, left));
        const count = left === 0 ? null : await onDisk(() => file.read(bytes));
        if (count === null) return end(controller);
        left -= count;
        controller.enqueue(bytes.subarray(0, count));
      } catch (error) {
        file.close();
        throw error;
      }
    },
    cancel: () => file.close(),
  }, { highWaterMark: 0 });

  function end(controller: ReadableStreamDefaultController<Uint8Array>): void {
    file.close();
    controller.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path);
  await directory.sync();
}

function anotherGoesOn(): AppError {
  return new AppError("UNAVAILABLE", "Cannot store the file: another request goes on with it");
}

async function namesIn(directory: string): Promise<string[]> {
  const entries = await ifThere(Array.fromAsync(Deno.readDir(directory)));
  return entries?.map(({ name }) => name) ?? [];
}

async function removeIfEmpty(directory: string): Promise<void> {
  await Deno.remove(directory).catch((error) => {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(error.code)) throw error;
  });
}

async function isThere(act: Promise<unknown>): Promise<boolean> {
  return await ifThere(act.then(() => true)) !== null;
}
