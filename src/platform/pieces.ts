/** A body in pieces of one size, each on disk until it is sent: what comes slowly takes no memory meanwhile. */
import { onDisk, writeAll } from "./disk.ts";

export class Pieces implements Disposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #file: Deno.FsFile | null = null;
  #byteSize = 0;
  /** What came beyond the end of a piece. */
  #rest = new Uint8Array();

  /** `pieceBytes`: of every piece but the last. */
  constructor(body: ReadableStream<Uint8Array>, private readonly pieceBytes: number) {
    this.#reader = body.getReader();
  }

  /** Bytes of the piece at hand. */
  get byteSize(): number {
    return this.#byteSize;
  }

  /** Takes the next piece from the body, and says whether it is the last: that one may be smaller, or empty. Rejects with the
   * body's own error. Throws UNAVAILABLE. */
  async next(): Promise<boolean> {
    this.#byteSize = 0;
    const file = this.#file;
    if (file) await onDisk(() => file.seek(0, Deno.SeekMode.Start));
    await this.#take(this.#rest);
    while (this.#byteSize < this.pieceBytes) {
      const { value, done } = await this.#reader.read();
      if (done) return true;
      await this.#take(value);
    }
    return false;
  }

  /** The piece at hand, in memory. Throws UNAVAILABLE. */
  async read(): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(this.#byteSize);
    const file = this.#file;
    if (file === null) return bytes;
    await onDisk(async () => {
      await file.seek(0, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) {
        const count = await file.read(bytes.subarray(at));
        if (count === null) throw new Error("A spooled piece has become shorter");
        at += count;
      }
    });
    return bytes;
  }

  /** Wants no more of the body. */
  async cancel(reason: unknown): Promise<void> {
    await this.#reader.cancel(reason).catch(() => {}); // a body that has failed says so again
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }

  async #take(bytes: Uint8Array): Promise<void> {
    const part = bytes.subarray(0, this.pieceBytes - this.#byteSize);
    this.#rest = bytes.slice(part.length);
    if (part.length === 0) return;
    const file = this.#file ??= await openNameless();
    await onDisk(() => writeAll(file, part));
    this.#byteSize += part.length;
  }
}

/** A file that is gone with its last user, however that one ends. */
function openNameless(): Promise<Deno.FsFile> {
  return onDisk(async () => {
    const path = await Deno.makeTempFile({ prefix: "parley-piece-" });
    const file = await Deno.open(path, { read: true, write: true });
    await Deno.remove(path);
    return file;
  });
}
