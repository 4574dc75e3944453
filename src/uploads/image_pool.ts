/** The processes that decode images, as many as are busy at once: what takes too long is killed, and what has died is started
 * again for the next image. The bytes pass through in pieces; an image never is in the memory of this process. */
import { denoEnv } from "../config.ts";
import { Turns } from "../lib/turns.ts";
import { within } from "../platform/timers.ts";
import {
  encodeHeader,
  IMAGE_BYTES_MAX,
  type ImageReply,
  type ImageRequest,
  type MadeRendition,
  MessageReader,
  type ProcessedImage,
  type WorkerReady,
} from "./image_protocol.ts";

/** From the last byte of an image to the answer. A photo takes 0.3 s, the largest PNG 3.5 s; only noise of more than 30
 * megapixels in a GIF takes longer than this. */
const PROCESS_MS_MAX = 10_000;
/** For a process to begin, which may have to fetch its packages the first time. */
const START_MS_MAX = 60_000;
/** After so many a process makes room for a new one: what its codecs have lost of their memory comes back. */
const IMAGES_PER_PROCESS = 500;

const WORKER = new URL("../../workers/image_worker.ts", import.meta.url).href;
/** What sharp looks at while it loads, and nothing more. A native library can't be confined by permissions; what it must not
 * find is kept out of its environment. */
const PERMISSIONS = [
  "--allow-ffi",
  "--allow-env=npm_package_config_libvips,npm_config_arch,npm_config_platform,npm_config_libc,MALLOC_ARENA_MAX",
  "--allow-read=/usr/bin/ldd",
];

/** The verdict on an image that is broken or too large: no other try will change it. */
export class ImageRefused extends Error {
  override readonly name = "ImageRefused";
}

/** The process was lost, or was too slow and killed: another try may succeed. */
export class ImageWorkerLost extends Error {
  override readonly name = "ImageWorkerLost";
}

/** Takes one rendition as it comes; it has to read or cancel all of the body. */
export type TakeRendition = (rendition: MadeRendition, body: ReadableStream<Uint8Array>) => Promise<void>;

export class ImagePool implements AsyncDisposable {
  readonly #idle: ImageWorker[] = [];
  readonly #workers = new Set<ImageWorker>();
  readonly #turns: Turns;
  #isOver = false;

  /** `size`: processes, and so images, at a time; `processMs`: milliseconds for one image. (Default: 10_000) */
  constructor(size: number, private readonly processMs: number = PROCESS_MS_MAX) {
    this.#turns = new Turns(size);
  }

  /** Of the processes that run. */
  get pids(): number[] {
    return [...this.#workers].map(({ pid }) => pid);
  }

  /** Decodes one image and hands on what was made of it. Waits for its turn. Throws `ImageRefused`, `ImageWorkerLost`, and what the
   * body or `take` rejects with. */
  async process(
    request: ImageRequest,
    body: ReadableStream<Uint8Array>,
    take: TakeRendition,
  ): Promise<ProcessedImage> {
    if (request.byteSize > IMAGE_BYTES_MAX) {
      await body.cancel();
      throw new ImageRefused(
        `Cannot process the image: it has ${request.byteSize} bytes, the limit is ${IMAGE_BYTES_MAX}`,
      );
    }
    try {
      return await this.#turns.take(() => this.#process(request, body, take));
    } finally {
      if (!body.locked) await body.cancel().catch(() => {});
    }
  }

  /** Kills all processes; what they work on fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#workers].map((worker) => worker[Symbol.asyncDispose]()));
  }

  async #process(
    request: ImageRequest,
    body: ReadableStream<Uint8Array>,
    take: TakeRendition,
  ): Promise<ProcessedImage> {
    const worker = this.#idle.pop() ?? this.#start();
    try {
      return await worker.process(request, body, take);
    } finally {
      if (worker.isUsable) this.#idle.push(worker);
    }
  }

  #start(): ImageWorker {
    if (this.#isOver) throw lost("the server is stopping");
    const worker = new ImageWorker(this.processMs);
    this.#workers.add(worker);
    worker.ended.then(() => {
      this.#workers.delete(worker);
      const place = this.#idle.indexOf(worker);
      if (place >= 0) this.#idle.splice(place, 1);
    });
    return worker;
  }
}

class ImageWorker implements AsyncDisposable {
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #replies: MessageReader;
  readonly #requests: WritableStreamDefaultWriter<Uint8Array>;
  readonly #ready: Promise<WorkerReady | null>;
  #processed = 0;
  #isOver = false;

  constructor(private readonly processMs: number) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", "--quiet", ...PERMISSIONS, WORKER],
      clearEnv: true,
      env: { ...denoEnv(), MALLOC_ARENA_MAX: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#requests = this.#child.stdin.getWriter();
    this.#requests.closed.catch(() => {}); // whoever writes is told
    this.#replies = new MessageReader(this.#child.stdout);
    this.#ready = this.#replies.readHeader<WorkerReady>();
    this.#ready.catch(() => {}); // whoever comes first is told
    this.ended = this.#child.status.then(async (status) => {
      this.#isOver = true;
      await this.#replies.close().catch(() => {});
      await this.#requests.abort().catch(() => {});
      return status;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get isUsable(): boolean {
    return !this.#isOver;
  }

  async process(
    request: ImageRequest,
    body: ReadableStream<Uint8Array>,
    take: TakeRendition,
  ): Promise<ProcessedImage> {
    let isInStep = false;
    try {
      if (await this.#inTime(START_MS_MAX, this.#ready) === null) throw lost("its process does not start");
      await this.#send(request, body);
      const reply = await this.#inTime(this.processMs, this.#replies.readHeader<ImageReply>());
      if (reply === null) throw lost("its process has ended");
      if (reply.outcome === "PROCESSED") await this.#handOn(reply.renditions, take);
      isInStep = ++this.#processed < IMAGES_PER_PROCESS;
      if (reply.outcome === "PROCESSED") return reply;
      throw new ImageRefused(`Cannot process the image: ${reply.reason}`);
    } finally {
      if (!isInStep) await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // has ended already
    }
    await this.ended;
  }

  async #inTime<T>(ms: number, step: Promise<T>): Promise<T> {
    const settled = step.then((value) => ({ value }), (cause) => ({ cause }));
    const result = await within(ms, settled);
    if (result === null) throw lost(`its process took longer than ${ms} ms`);
    if ("cause" in result) throw lost("its process has ended", result.cause);
    return result.value;
  }

  async #send(request: ImageRequest, body: ReadableStream<Uint8Array>): Promise<void> {
    const write = (piece: Uint8Array) => this.#inTime(this.processMs, this.#requests.write(piece));
    await write(encodeHeader(request));
    let left = request.byteSize;
    for await (const piece of body) {
      left -= piece.length;
      if (left < 0) break;
      await write(piece);
    }
    if (left !== 0) {
      throw new Error(`Cannot process the image: it has not the ${request.byteSize} bytes that it should`);
    }
  }

  async #handOn(renditions: readonly MadeRendition[], take: TakeRendition): Promise<void> {
    for (const rendition of renditions) {
      const pieces = this.#replies.read(rendition.byteSize);
      let left = rendition.byteSize;
      const body = new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const { value } = await this.#inTime(this.processMs, pieces.next());
          if (value === undefined) return controller.close();
          left -= value.length;
          controller.enqueue(value);
        },
      }, { highWaterMark: 0 });
      await take(rendition, body);
      if (left > 0) throw new Error("Cannot process the image: what was made of it is not taken");
    }
  }
}

function lost(state: string, cause?: unknown): ImageWorkerLost {
  return new ImageWorkerLost(`Cannot process the image: ${state}`, { cause });
}
