/** Bodies as they come from clients: in chunks, at the reader's pace, and sometimes not to their end. */
import { strict as assert } from "node:assert";

/** What a body says that breaks off. */
export class Broken extends Error {}

/** Bytes that tell where in a file they stand: a piece that is missing, doubled or moved makes a difference. */
export function bytesOf(byteSize: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteSize / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + 1, 2654435761) ^ seed;
  return new Uint8Array(words.buffer, 0, byteSize);
}

/** A body that hands out a chunk whenever one is asked for, and counts them. */
export class Body {
  readonly stream: ReadableStream<Uint8Array>;
  /** Bytes that were taken. */
  taken = 0;
  /** Why nothing more was wanted. */
  cancelReason: unknown;

  /** `breaksAt`: where it breaks off; `chunkBytes`: of a chunk. (Default: 65_536) */
  constructor(bytes: Uint8Array, { from = 0, breaksAt = Infinity, chunkBytes = 65_536 } = {}) {
    const end = Math.min(bytes.length, breaksAt);
    this.taken = from;
    this.stream = new ReadableStream({
      pull: (controller) => {
        if (this.taken >= end) {
          return breaksAt < Infinity ? controller.error(new Broken("broke off")) : controller.close();
        }
        const next = Math.min(end, this.taken + chunkBytes);
        controller.enqueue(bytes.slice(this.taken, next));
        this.taken = next;
      },
      cancel: (reason) => void (this.cancelReason = reason),
    }, { highWaterMark: 0 });
  }
}

export async function readAll(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array | null> {
  return stream && new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Says where they differ, and does not print megabytes. */
export function assertSameBytes(actual: Uint8Array | null, expected: Uint8Array, what = ""): void {
  assert.ok(actual, `nothing is there ${what}`);
  assert.equal(actual.length, expected.length, `bytes ${what}`);
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.equal(at, -1, `differs from byte ${at} on ${what}`);
}
