/** Reading a file of any size as its bytes come, in pieces of any size: a parser is a generator that stops where the bytes
 * end and goes on when there are more. Nothing is kept but what it asked for. */
import { crc32 } from "node:zlib";

/** Runs until it needs more bytes. */
export type Walk<Result = void> = Generator<void, Result, void>;

/** The piece at hand. Tight loops look at `piece` and `at` themselves: a call for each byte costs ten times as much. */
export class Bytes {
  piece: Uint8Array = new Uint8Array(0);
  at = 0;
  /** Bytes of the file before the piece. */
  #before = 0;

  /** Goes on with the next piece; the one before has been read to its end. */
  feed(piece: Uint8Array): void {
    this.#before += this.piece.length;
    this.piece = piece;
    this.at = 0;
  }

  /** Place in the file. */
  get position(): number {
    return this.#before + this.at;
  }

  *byte(): Walk<number> {
    while (this.at >= this.piece.length) yield;
    return this.piece[this.at++] ?? 0;
  }

  *take(length: number): Walk<DataView> {
    if (this.at + length > this.piece.length) return yield* this.#collect(length);
    this.at += length;
    return new DataView(this.piece.buffer, this.piece.byteOffset + this.at - length, length);
  }

  *skip(length: number): Walk {
    let left = length;
    while (left > this.piece.length - this.at) {
      left -= this.piece.length - this.at;
      this.at = this.piece.length;
      yield;
    }
    this.at += left;
  }

  /** CRC-32 of the next bytes, going on from that of bytes before. */
  *checksum(length: number, before: number): Walk<number> {
    let [sum, left] = [before, length];
    while (left > 0) {
      if (this.at >= this.piece.length) yield;
      const part = this.piece.subarray(this.at, this.at + left);
      sum = crc32(part, sum);
      this.at += part.length;
      left -= part.length;
    }
    return sum;
  }

  *#collect(length: number): Walk<DataView> {
    const taken = new Uint8Array(length);
    for (let index = 0; index < length; index++) taken[index] = yield* this.byte();
    return new DataView(taken.buffer);
  }
}

/** Four characters, as PNG and RIFF name their chunks. */
export function readName(view: DataView, offset: number): string {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + offset, 4));
}

/** Little-endian, as WebP has them. */
export function readUint24(view: DataView, offset: number): number {
  return view.getUint16(offset, true) + view.getUint8(offset + 2) * 65_536;
}
