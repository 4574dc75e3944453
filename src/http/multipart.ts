/** Requests with files, part by part: a file goes to its receiver while it comes in, no faster than it is taken, and is never
 * held. https://github.com/jaydenseric/graphql-multipart-request-spec */
import { Buffer } from "node:buffer";
import { Busboy, type BusboyFileStream, type BusboyInstance } from "@fastify/busboy";
import type { GraphQLError } from "graphql";
import type { GraphQLParams } from "graphql-yoga";
import { ATTACHMENTS_PER_MESSAGE_MAX } from "../config.ts";
import { cleanFilename } from "../lib/filenames.ts";
import { within } from "../platform/timers.ts";
import { fileTooLarge, type IncomingFile } from "../uploads/receiving.ts";
import { badRequest, requestTimeout, requestTooLarge } from "./bad_requests.ts";
import type { Pacer } from "./pacer.ts";
import { parseMap, parseOperations, type UploadMap } from "./upload_map.ts";

const OPERATIONS_BYTES_MAX = 256 * 1024;
const MAP_BYTES_MAX = 64 * 1024;
/** Of one part. */
const HEADER_BYTES_MAX = 8 * 1024;
const HEADERS_MAX = 20;
/** All that is not the content of files: both texts, and the headers between the parts. */
const FORM_BYTES_MAX = OPERATIONS_BYTES_MAX + MAP_BYTES_MAX + 16 * 1024;
/** Of the header with the boundary, which has up to 70 (RFC 2046): a search for more costs more. */
const TYPE_CHARACTERS_MAX = 200;
/** Milliseconds without a byte after which the client is taken for gone. */
const IDLE_MS = 30_000;

export interface ReceivedPart {
  readonly filename: string;
  /** Ends with FILE_TOO_LARGE beyond the limit, and with the request's own error where that breaks off. It must be read to
   * its end or canceled: what comes behind it waits. */
  readonly body: ReadableStream<Uint8Array>;
}

export interface MultipartOptions {
  /** Bytes of one file. The rest of one that is larger is thrown away up to that many again; then the request is refused. */
  readonly fileBytesMax: number;
  /** Called for each file at once, while it comes in. Where it rejects the request fails with that error. */
  readonly receive: (part: ReceivedPart) => Promise<IncomingFile>;
  /** Milliseconds without a byte after which the client is taken for gone. (Default: 30_000) */
  readonly idleMs?: number;
  /** Of pieces of all requests. (Default: none to wait for) */
  readonly pacer?: Pacer;
}

/** Whether the request may carry files. */
export function isMultipart({ method, headers }: Request): boolean {
  return method === "POST" && /^multipart\/form-data *(;|$)/i.test(headers.get("content-type") ?? "");
}

/** The operation, with its files where `map` wants them. However it ends, no receiver is at work any more, and what was not
 * read of the body never will be. Throws BAD_REQUEST, REQUEST_ENTITY_TOO_LARGE, FILE_TOO_LARGE. */
export async function readMultipart(request: Request, options: MultipartOptions): Promise<GraphQLParams> {
  if (request.body === null) throw badRequest("it has no body");
  const reader = request.body.getReader();
  try {
    const bytesMax = ATTACHMENTS_PER_MESSAGE_MAX * (options.fileBytesMax + HEADER_BYTES_MAX) + FORM_BYTES_MAX;
    if (Number(request.headers.get("content-length")) > bytesMax) throw requestTooLarge("it is too large", bytesMax);
    const form = new Form(request.headers.get("content-type") ?? "", options);
    try {
      await feed(form, reader, { ...options, bytesMax, idleMs: options.idleMs ?? IDLE_MS });
      return await form.end();
    } catch (error) {
      await form.abandon(error);
      throw error;
    }
  } finally {
    await reader.cancel().catch(() => {}); // a body that broke off
  }
}

async function feed(
  form: Form,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { bytesMax, idleMs, pacer }: Pick<MultipartOptions, "pacer"> & { readonly bytesMax: number; readonly idleMs: number },
): Promise<void> {
  let byteSize = 0;
  for (;;) {
    const read = await within(idleMs, reader.read().catch(() => Promise.reject(cutOff())));
    if (read === null) throw requestTimeout();
    if (read.done) return;
    byteSize += read.value.length;
    if (byteSize > bytesMax) throw requestTooLarge("it is too large", bytesMax);
    await pacer?.take();
    await form.write(read.value);
    // A chunk may be larger than that, but no second one is read.
    if (!form.hasMap && byteSize > FORM_BYTES_MAX) throw requestTooLarge("its form is too large", FORM_BYTES_MAX);
  }
}

/** A form that is being read: the parser calls back, and whatever goes wrong ends what is waited for just now. */
class Form {
  readonly #parser: BusboyInstance;
  #params: GraphQLParams | null = null;
  /** Files that have not come yet. */
  #expected: UploadMap | null = null;
  readonly #receiving: Promise<void>[] = [];
  /** End the bodies that are not read to their end; of small files there may be several. */
  readonly #breakOffs: ((error: unknown) => void)[] = [];
  /** The parser may be through before the body is: behind the last boundary there may be more. */
  readonly #finished = Promise.withResolvers<void>();
  #failure: { readonly error: unknown } | null = null;
  #interrupt: (error: unknown) => void = () => {};

  constructor(contentType: string, private readonly options: MultipartOptions) {
    this.#parser = createParser(contentType, options.fileBytesMax);
    this.#parser.on("field", (name, text, _, isCut) => this.#try(() => this.#takeField(name, text, isCut)));
    this.#parser.on("file", (name, file, filename) => this.#try(() => this.#takeFile(name, file, filename)));
    this.#parser.on("partsLimit", () => this.#fail(badRequest("it has too many parts")));
    this.#parser.on("finish", () => this.#finished.resolve());
    this.#parser.on("error", () => this.#fail(cutOff()));
  }

  get hasMap(): boolean {
    return this.#expected !== null;
  }

  /** Resolves when there is room for more. */
  write(chunk: Uint8Array): Promise<void> {
    return this.#wait((resolve) => this.#parser.write(chunk, () => resolve()));
  }

  /** What the whole form says, when all its files are received. */
  async end(): Promise<GraphQLParams> {
    await this.#wait((resolve) => {
      void this.#finished.promise.then(resolve);
      this.#parser.end();
    });
    if (this.#params === null || this.#expected === null) throw badRequest("`operations` or `map` is missing");
    const [missing] = this.#expected.keys();
    if (missing !== undefined) throw badRequest(`the file ${quote(missing)} of \`map\` is missing`);
    await this.#wait((resolve) => void Promise.all(this.#receiving).then(() => resolve()));
    return this.#params;
  }

  /** Resolves when no receiver is at work any more. */
  async abandon(error: unknown): Promise<void> {
    this.#failure ??= { error };
    for (const breakOff of this.#breakOffs) breakOff(error);
    await Promise.all(this.#receiving);
  }

  #takeField(name: string, text: string, isCut: boolean): void {
    const bytesMax = name === "map" ? MAP_BYTES_MAX : OPERATIONS_BYTES_MAX;
    if (isCut || Buffer.byteLength(text) > bytesMax) throw requestTooLarge(`\`${name}\` is too large`, bytesMax);
    if (name === "operations") {
      if (this.#params !== null) throw badRequest("`operations` comes twice");
      this.#params = parseOperations(text);
    } else {
      if (this.#params === null) throw badRequest("`map` comes before `operations`");
      if (this.#expected !== null) throw badRequest("`map` comes twice");
      this.#expected = parseMap(text, this.#params);
    }
  }

  #takeFile(name: string | undefined, file: BusboyFileStream, filename: string | undefined): void {
    file.on("error", () => {}); // the parser has said so as well
    if (this.#failure !== null) return;
    if (this.#expected === null) throw badRequest("a file comes before `map`");
    const put = this.#expected.get(name ?? "");
    if (put === undefined) throw badRequest(`the file ${quote(name ?? "")} is not in \`map\`, or comes twice`);
    this.#expected.delete(name ?? "");
    const part = { filename: cleanFilename(unescapeName(filename ?? "")), body: this.#openBody(file) };
    this.#receiving.push(this.options.receive(part).then(put).catch((error) => this.#fail(error)));
  }

  /** The file as it comes in: one chunk each time that one is asked for. */
  #openBody(file: BusboyFileStream): ReadableStream<Uint8Array> {
    const { fileBytesMax } = this.options;
    let byteSize = 0;
    let isOpen = true;
    const close = (act: () => void) => {
      if (isOpen) act();
      isOpen = false;
    };
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#breakOffs.push((error) => close(() => controller.error(error)));
        file.on("limit", () => this.#fail(requestTooLarge("a file is too large", fileBytesMax, "FILE_TOO_LARGE")));
        file.on("end", () => close(() => controller.close()));
        file.on("data", (chunk: Uint8Array) => {
          byteSize += chunk.length;
          if (byteSize > fileBytesMax) close(() => controller.error(fileTooLarge(fileBytesMax)));
          if (!isOpen) return; // it flows on, to nobody
          file.pause();
          controller.enqueue(chunk);
        });
        file.pause();
      },
      pull: () => void file.resume(),
      cancel: () => close(() => file.resume()),
    }, { highWaterMark: 0 });
  }

  #wait(begin: (resolve: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure.error);
      this.#interrupt = reject;
      begin(resolve);
    });
  }

  /** A throw in a callback of the parser would end the process. */
  #try(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#interrupt(error);
  }
}

/** Throws BAD_REQUEST. */
function createParser(contentType: string, fileBytesMax: number): BusboyInstance {
  if (contentType.length > TYPE_CHARACTERS_MAX) throw badRequest("its `Content-Type` is too long");
  try {
    return new Busboy({
      headers: { "content-type": contentType },
      // Some clients send the texts as files.
      isPartAFile: (name) => name !== "operations" && name !== "map",
      limits: {
        fieldSize: OPERATIONS_BYTES_MAX,
        fileSize: 2 * fileBytesMax,
        parts: ATTACHMENTS_PER_MESSAGE_MAX + 2,
        headerPairs: HEADERS_MAX,
        headerSize: HEADER_BYTES_MAX,
      },
    });
  } catch {
    throw badRequest("its `Content-Type` has no boundary");
  }
}

/** What browsers escape in a name, and nothing else: they leave a `%` as it is
 * (https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data). */
function unescapeName(name: string): string {
  return name.replaceAll("%22", '"').replaceAll("%0D", "\r").replaceAll("%0A", "\n");
}

function cutOff(): GraphQLError {
  return badRequest("it ends in the middle");
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 50).toWellFormed());
}
