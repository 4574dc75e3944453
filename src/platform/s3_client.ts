/** Requests to one bucket of an S3-compatible storage: signed, with a time limit, and repeated where that is safe. */
import { AwsClient } from "aws4fetch";
import type { S3Config } from "../config.ts";
import type { AppError } from "../errors.ts";
import { storageAway } from "./files.ts";
import { pause } from "./timers.ts";

/** How long a storage is waited for, in milliseconds: people wait with us. */
export interface S3Limits {
  /** For the answer to a request that carries little, and until the last moment at which any is tried again: what fails at once
   * is worth another try, a storage that hangs goes on hanging. (Default: 5_000) */
  readonly answerMsMax: number;
  /** For one that carries a piece of a file, or makes the storage join many: a piece of 5 MiB goes at 2 Mbit/s.
   * (Default: 20_000) */
  readonly workMsMax: number;
  /** At most, before the second try; twice that before the third. (Default: 400) */
  readonly pauseMs: number;
}

const LIMITS: S3Limits = { answerMsMax: 5_000, workMsMax: 20_000, pauseMs: 400 };
/** Bytes of a body from which on it is no little one: 64 KiB in 5 s are 100 kbit/s. */
const LARGE_BYTES = 65_536;
/** Milliseconds until the next bytes of a file that is read. */
const STALL_MS_MAX = 30_000;
const TRIES_MAX = 3;

export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** (Default: the bucket itself) */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  /** (Default: 3) */
  readonly triesMax?: number;
  /** Takes the storage a while. (Default: whether its body is large) */
  readonly isWork?: boolean;
  /** Milliseconds for each. (Default: by `S3Limits`) */
  readonly msMax?: number;
}

export interface S3Answer {
  readonly headers: Headers;
  readonly text: string;
}

/** What the storage refuses, by its own code (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). */
export class S3Refusal extends Error {
  override readonly name = "S3Refusal";

  /** `code`: empty where a HEAD is refused. */
  constructor(readonly status: number, readonly code: string) {
    super(`the storage answers ${status} ${code}`.trim());
  }
}

/** Worth another try. CompleteMultipartUpload says so with status 200. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof S3Refusal)) return true; // no answer at all
  return error.status >= 500 || error.status === 429 ||
    ["InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout"].includes(error.code);
}

export class S3Client {
  readonly #signer: AwsClient;
  readonly #bucketUrl: string;
  readonly #limits: S3Limits;

  constructor(
    { endpoint, bucket, region, accessKeyId, secretAccessKey }: S3Config,
    limits: Partial<S3Limits> = {},
  ) {
    this.#limits = { ...LIMITS, ...limits };
    // Its own repetitions leave bodies unread, and don't repeat what found no answer.
    this.#signer = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
    this.#bucketUrl = `${endpoint}/${encodeURIComponent(bucket)}`;
  }

  /** Throws `S3Refusal` for an answer that will not be another one later, and UNAVAILABLE. */
  async send(request: S3Request): Promise<S3Answer> {
    return await this.#repeat(request, async () => {
      using limit = new TimeLimit(request.msMax ?? this.#msMaxOf(request));
      const response = await this.#fetch(request, limit.signal);
      const text = await response.text();
      requireSuccess(response, text);
      return { headers: response.headers, text };
    });
  }

  /** The answer's body as it comes. Throws as `send`; the stream itself throws UNAVAILABLE. */
  async open(request: S3Request): Promise<{ readonly headers: Headers; readonly body: ReadableStream<Uint8Array> }> {
    return await this.#repeat(request, async () => {
      const limit = new TimeLimit(this.#limits.answerMsMax);
      try {
        const response = await this.#fetch(request, limit.signal);
        if (!response.ok) requireSuccess(response, await response.text());
        const { headers, body } = response;
        return { headers, body: watched(body ?? emptyStream(), limit) };
      } finally {
        limit.stop();
      }
    });
  }

  #msMaxOf({ body, isWork = body !== undefined && body.length >= LARGE_BYTES }: S3Request): number {
    return isWork ? this.#limits.workMsMax : this.#limits.answerMsMax;
  }

  async #repeat<T>({ triesMax = TRIES_MAX }: S3Request, act: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    for (let tries = 1;; tries++) {
      try {
        return await act();
      } catch (error) {
        if (!isPassing(error)) throw error;
        // At random, so that those who failed together don't come back together.
        const pauseMs = this.#limits.pauseMs * 2 ** (tries - 1) * (0.5 + Math.random() / 2);
        const isLate = performance.now() + pauseMs - beganMs > this.#limits.answerMsMax;
        if (tries >= triesMax || isLate) throw asAway(error);
        await pause(pauseMs);
      }
    }
  }

  async #fetch({ method, key, query = {}, headers = {}, body }: S3Request, signal: AbortSignal): Promise<Response> {
    const url = new URL(key === undefined ? this.#bucketUrl : `${this.#bucketUrl}/${key}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body ?? new Uint8Array())).toHex();
    const init = { method, headers: { ...headers, "x-amz-content-sha256": hash }, ...body && { body } };
    return await fetch(await this.#signer.sign(url.href, init), { signal, redirect: "manual" });
  }
}

export function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** What stands in an element of that name, the first of them. */
export function textIn(xml: string, name: string): string | null {
  const [, text] = xml.match(`<${name}>([^<]*)</${name}>`) ?? [];
  if (text === undefined) return null;
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

/** For whatever is not expected of the storage. Its messages are not passed on: they quote what was signed. */
export function asAway(error: unknown): AppError {
  const state = error instanceof S3Refusal ? error.message : "the storage does not answer";
  return storageAway(state, error);
}

function requireSuccess({ ok, status }: Response, text: string): void {
  const code = text.includes("<Error>") ? textIn(text, "Code") : null;
  if (!ok || code !== null) throw new S3Refusal(status, code ?? "");
}

/** Aborts a request that takes too long. */
class TimeLimit implements Disposable {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number) {
    this.start(ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  start(ms: number): void {
    this.stop();
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`No answer within ${ms} ms`)), ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** Passes bytes on as they are asked for, all of them or an error. */
function watched(body: ReadableStream<Uint8Array>, limit: TimeLimit): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      limit.start(STALL_MS_MAX);
      try {
        const { value, done } = await reader.read(); // rejects where it ends before its Content-Length
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        throw asAway(error);
      } finally {
        limit.stop();
      }
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
