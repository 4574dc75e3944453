/** What the server and its image workers say to each other: the only thing that `workers/image_worker.ts` knows of the server.
 * Each message is the length of a header in four bytes, the header in JSON, and the bytes that it announces. A worker says
 * once that it is ready; then every request has one reply, in order. */

/** What is taken as an image. */
export type ImageType = "image/jpeg" | "image/png" | "image/gif" | "image/webp";

/** Pixels of each side. */
export const IMAGE_SIDE_MAX = 8_000;
export const IMAGE_PIXELS_MAX = 24_000_000;
/** Pixels of all frames of an animation. */
export const FRAME_PIXELS_MAX = 50_000_000;
/** Bytes that a worker takes into its memory: an image of the most pixels takes less, without any compression. */
export const IMAGE_BYTES_MAX = 100_000_000;

/** Longest side of each size in pixels; smaller images are never enlarged. */
export const FITS = { SMALL: 64, MEDIUM: 256, LARGE: 1024 } as const;
/** Side of the square that is made of an avatar or a room icon. */
export const PICTURE_SIDE = 256;

/** Followed by the image. */
export interface ImageRequest {
  readonly purpose: "ATTACHMENT" | "PICTURE";
  readonly mediaType: ImageType;
  readonly byteSize: number;
}

export interface MadeRendition {
  readonly size: keyof typeof FITS | "ORIGINAL";
  readonly mediaType: ImageType;
  readonly byteSize: number;
  /** In hex. */
  readonly sha256: string;
}

/** Followed by the renditions, in that order. */
export interface ProcessedImage {
  readonly outcome: "PROCESSED";
  /** Pixels as shown: of the image, or of the square that was made of it. */
  readonly width: number;
  readonly height: number;
  /** Base64. */
  readonly thumbhash: string;
  readonly renditions: readonly MadeRendition[];
}

/** The verdict on the image, whoever asks again. */
export interface RefusedImage {
  readonly outcome: "REFUSED";
  /** For the log. */
  readonly reason: string;
}

export type ImageReply = ProcessedImage | RefusedImage;

/** The first word of a worker. */
export interface WorkerReady {
  readonly outcome: "READY";
}

/** A header is a few hundred bytes; more comes from something else that writes into the pipe. */
const HEADER_BYTES_MAX = 65_536;

/** A header as it goes over the pipe. */
export function encodeHeader(header: ImageRequest | ImageReply | WorkerReady): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const frame = new Uint8Array(4 + json.length);
  new DataView(frame.buffer).setUint32(0, json.length);
  frame.set(json, 4);
  return frame;
}

/** Reads messages from a pipe, in pieces as they come. */
export class MessageReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  #rest = new Uint8Array();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.getReader();
  }

  /** The next header; `null` where the pipe ends before it. Throws where it ends within it, or holds something else. */
  async readHeader<T>(): Promise<T | null> {
    if (this.#rest.length === 0 && !await this.#fill()) return null;
    const prefix = await this.readAll(4);
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0);
    if (length > HEADER_BYTES_MAX) throw new Error("Cannot read the pipe: it holds no header");
    return JSON.parse(new TextDecoder().decode(await this.readAll(length)));
  }

  /** That many bytes, as they come. Throws where the pipe ends before. */
  async *read(byteSize: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    let left = byteSize;
    while (left > 0) {
      if (this.#rest.length === 0 && !await this.#fill()) throw new Error("Cannot read the pipe: it has ended");
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** That many bytes at once. Throws where the pipe ends before. */
  async readAll(byteSize: number): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(byteSize);
    let filled = 0;
    for await (const piece of this.read(byteSize)) {
      all.set(piece, filled);
      filled += piece.length;
    }
    return all;
  }

  /** Lets go of the pipe; whoever reads meanwhile finds its end. */
  async close(): Promise<void> {
    await this.#reader.cancel();
  }

  async #fill(): Promise<boolean> {
    const { value, done } = await this.#reader.read();
    if (done) return false;
    this.#rest = value;
    return true;
  }
}
