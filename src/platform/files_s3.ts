/** Files in a bucket of an S3-compatible storage. Small ones come by one request; larger ones and transfers by a multipart upload,
 * of which every piece is safe once it is there (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html). Pieces that a
 * process leaves that was killed in between, without a transfer, are for a rule of the bucket to clear
 * (AbortIncompleteMultipartUpload). */
import type { S3Config } from "../config.ts";
import type { ByteRange } from "../lib/byte_ranges.ts";
import { Turns } from "../lib/turns.ts";
import { type Files, type Progress, requireKey, type Transfer, transferIsOver } from "./files.ts";
import { Pieces } from "./pieces.ts";
import { asAway, emptyStream, S3Client, type S3Limits, S3Refusal, type S3Request, textIn } from "./s3_client.ts";

/** The least that S3 takes for a piece: what is lost of a transfer that breaks off is less than that. */
const PIECE_BYTES = 5 * 1024 * 1024;
/** Pieces that are in memory at once. */
const SENDING_MAX = 4;
/** Milliseconds for an answer to a check. */
const CHECK_MS_MAX = 2_000;
const TOKEN = "x-amz-meta-transfer";

export function openS3Files(config: S3Config, limits: Partial<S3Limits> = {}): Files {
  return new S3Files(new S3Client(config, limits));
}

/** A multipart upload, and what is safe of it. */
interface Upload {
  readonly key: string;
  readonly id: string;
  /** Stored with the file: it tells which upload it came from. */
  readonly token: string;
  readonly parts: string[];
  byteSize: number;
}

class S3Files implements Files {
  readonly #turns = new Turns(SENDING_MAX);

  constructor(private readonly s3: S3Client) {}

  async store(key: string, body: ReadableStream<Uint8Array>, transfer?: Transfer): Promise<void> {
    requireKey(key);
    using pieces = new Pieces(body, PIECE_BYTES);
    try {
      await this.#store(key, pieces, transfer);
    } catch (error) {
      await pieces.cancel(error);
      throw error;
    }
  }

  async read(key: string, range?: ByteRange): Promise<ReadableStream<Uint8Array> | null> {
    requireKey(key);
    if (range && range.end <= range.start) return await this.#find(key) && emptyStream();
    const headers = range ? { range: `bytes=${range.start}-${range.end - 1}` } : {};
    try {
      const { headers: found, body } = await this.s3.open({ method: "GET", key, headers });
      if (!range || found.has("content-range")) return body;
      await body.cancel();
      throw asAway(new Error("The storage knows no ranges"));
    } catch (error) {
      if (isRefusal(error, "NoSuchKey")) return null;
      if (isRefusal(error, "InvalidRange")) return emptyStream();
      throwAway(error);
    }
  }

  async delete(key: string): Promise<void> {
    requireKey(key);
    await this.s3.send({ method: "DELETE", key }).catch(unless("NoSuchKey"));
  }

  async abandon(key: string, progress: Progress): Promise<void> {
    requireKey(key);
    const upload = uploadOf(key, progress);
    if (upload) await this.#abort(upload);
  }

  async check(): Promise<void> {
    await this.s3.send({ method: "HEAD", triesMax: 1, msMax: CHECK_MS_MAX }).catch(throwAway);
  }

  async #store(key: string, pieces: Pieces, transfer: Transfer | undefined): Promise<void> {
    let upload = transfer?.from ? requireUpload(key, transfer.from) : null;
    try {
      if (upload) await transfer?.onSafe(progressOf(upload));
      for (let isLast = false; !isLast;) {
        isLast = await pieces.next();
        // Not of a transfer, however small: nothing would end a request that another one has taken over from.
        if (isLast && upload === null && !transfer) return await this.#put(key, pieces);
        if (upload === null) {
          upload = await this.#begin(key);
          await transfer?.onSafe(progressOf(upload));
        }
        if (pieces.byteSize === 0 && upload.parts.length > 0) continue;
        await this.#sendPiece(upload, pieces);
        await transfer?.onSafe(progressOf(upload));
      }
      if (upload) await this.#complete(upload);
    } catch (error) {
      // What is left where this fails as well is for the bucket to clear: the first failure says more.
      if (upload && !transfer) await this.#abort(upload).catch(() => {});
      throw error;
    }
  }

  async #put(key: string, pieces: Pieces): Promise<void> {
    await this.#turns.take(async () => await this.s3.send({ method: "PUT", key, body: await pieces.read() }))
      .catch(throwAway);
  }

  async #begin(key: string): Promise<Upload> {
    const token = crypto.randomUUID();
    const request: S3Request = { method: "POST", key, query: { uploads: "" }, headers: { [TOKEN]: token } };
    const { text } = await this.s3.send(request).catch(throwAway);
    const id = textIn(text, "UploadId");
    if (id === null) throw asAway(new Error("The storage gives no upload id"));
    return { key, id, token, parts: [], byteSize: 0 };
  }

  async #sendPiece(upload: Upload, pieces: Pieces): Promise<void> {
    const { key, id: uploadId, parts, byteSize } = upload;
    // After the last piece there is none, and pieces of another size don't fit everywhere.
    if (byteSize !== parts.length * PIECE_BYTES) throw transferIsOver();
    const query = { partNumber: String(parts.length + 1), uploadId };
    const sent = this.#turns.take(async () => {
      return await this.s3.send({ method: "PUT", key, query, body: await pieces.read() });
    });
    const { headers } = await sent.catch(throwOverOrAway);
    const etag = headers.get("etag");
    if (etag === null) throw asAway(new Error("The storage does not confirm a piece"));
    parts.push(etag);
    upload.byteSize += pieces.byteSize;
  }

  async #complete(upload: Upload): Promise<void> {
    const { key, id: uploadId, parts } = upload;
    const body = new TextEncoder().encode(completionOf(parts));
    try {
      await this.s3.send({ method: "POST", key, query: { uploadId }, body, isWork: true });
    } catch (error) {
      // An answer may have been lost, or the request before this one just when its file was there.
      if (!isRefusal(error, "NoSuchUpload")) throwOverOrAway(error);
      const found = await this.#find(key);
      if (found?.get(TOKEN) !== upload.token) throw transferIsOver(error);
    }
    const size = (await this.#find(key))?.get("content-length");
    if (size === String(upload.byteSize)) return;
    throw asAway(new Error(`The storage has ${size} bytes of ${upload.byteSize}`));
  }

  async #abort({ key, id: uploadId }: Upload): Promise<void> {
    await this.s3.send({ method: "DELETE", key, query: { uploadId } }).catch(unless("NoSuchUpload"));
  }

  /** What is known of the file; `null` where there is none. */
  async #find(key: string): Promise<Headers | null> {
    try {
      return (await this.s3.send({ method: "HEAD", key })).headers;
    } catch (error) {
      if (error instanceof S3Refusal && error.status === 404) return null;
      throwAway(error);
    }
  }
}

function progressOf({ token, id, byteSize, parts }: Upload): Progress {
  return { byteSize, session: `${token}/${id}`, parts: [...parts] };
}

/** `null` for a session of another storage. */
function uploadOf(key: string, { byteSize, session, parts = [] }: Progress): Upload | null {
  const [, token, id] = session.match(/^([0-9a-f-]{36})\/(.+)$/) ?? [];
  return token && id ? { key, id, token, parts: [...parts], byteSize } : null;
}

function requireUpload(key: string, progress: Progress): Upload {
  const upload = uploadOf(key, progress);
  if (upload === null) throw transferIsOver();
  return upload;
}

function completionOf(parts: readonly string[]): string {
  const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const list = parts.map((etag, index) =>
    `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escape(etag)}</ETag></Part>`
  );
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${
    list.join("")
  }</CompleteMultipartUpload>`;
}

function isRefusal(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof S3Refusal && codes.includes(error.code);
}

/** Forgives the refusal of this code. */
function unless(code: string): (error: unknown) => void {
  return (error) => {
    if (!isRefusal(error, code)) throwAway(error);
  };
}

/** Where the storage will not go on with an upload, it has to begin again. */
function throwOverOrAway(error: unknown): never {
  if (isRefusal(error, "NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall")) {
    throw transferIsOver(error);
  }
  throwAway(error);
}

function throwAway(error: unknown): never {
  throw error instanceof S3Refusal ? asAway(error) : error;
}
