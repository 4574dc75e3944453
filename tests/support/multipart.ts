/** Requests with files, put together by hand, so that they can be wrong in every way. */
import { createHash } from "node:crypto";
import { type MultipartOptions, readMultipart, type ReceivedPart } from "../../src/http/multipart.ts";
import { reportError } from "../../src/http/reports.ts";
import { IncomingFile } from "../../src/uploads/receiving.ts";
import type { App } from "../../src/app.ts";
import { AppError } from "../../src/errors.ts";
import type { Any } from "./app.ts";
import { encode, joinBytes } from "./bytes.ts";
import { SlowRequest } from "./slow_requests.ts";

export const BOUNDARY = "----a-boundary-of-ours";
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

export interface Part {
  readonly name: string;
  readonly filename?: string;
  readonly content: string | Uint8Array;
}

/** The body of a form. */
export function formOf(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const texts = parts.map(({ name, filename, content }) => {
    const file = filename === undefined ? "" : `; filename="${filename}"\r\nContent-Type: image/png`;
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`;
    return joinBytes(head, content, "\r\n");
  });
  return joinBytes(...texts, `--${BOUNDARY}--\r\n`);
}

/** The usual parts: an operation, a map, and files named 0, 1, 2… that belong into `variables.files`. */
export function formWith(...files: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const map = Object.fromEntries(files.map((_, index) => [index, [`variables.files.${index}`]]));
  const operations = { query: "mutation", variables: { files: files.map(() => null) } };
  return formOf(
    { name: "operations", content: JSON.stringify(operations) },
    { name: "map", content: JSON.stringify(map) },
    ...files.map((content, index) => ({ name: `${index}`, filename: `${index}.png`, content })),
  );
}

/** What a receiver has seen. */
export interface Seen {
  readonly filename: string;
  readonly byteSize: number;
  readonly sha256: string;
  /** Code of the error that its body ended with. */
  readonly failure: string | null;
}

/** A server that reads forms, and nothing else. */
export class FormServer implements AsyncDisposable {
  readonly seen: Seen[] = [];
  /** Bytes of the bodies that were taken. */
  taken = 0;
  /** Bytes of files that their receivers were handed. */
  handed = 0;
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(
    private readonly options: Partial<MultipartOptions> = {},
    /** Called for each chunk of a file before it takes the next one. */
    private readonly pace: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      (request) => this.#answer(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  async #answer(request: Request): Promise<Response> {
    try {
      const counted = request.body?.pipeThrough(
        new TransformStream(
          {
            transform: (chunk, controller) => {
              this.taken += chunk.length;
              controller.enqueue(chunk);
            },
          },
        ),
      );
      const { url, method, headers } = request;
      const params = await readMultipart(new Request(url, { method, headers, body: counted ?? null }), {
        fileBytesMax: 1024 * 1024,
        receive: (part) => this.receive(part),
        ...this.options,
      });
      return Response.json(params);
    } catch (error) {
      const { message, extensions: { http, ...extensions } } = reportError({} as App, error) as Any;
      return Response.json({ message, ...extensions }, { status: http.status, headers: http.headers ?? {} });
    }
  }

  /** Counts and hashes; a file that is too large is an outcome, as for the real one. */
  async receive({ filename, body }: ReceivedPart): Promise<IncomingFile> {
    const hash = createHash("sha256");
    let byteSize = 0;
    let failure: Any = null;
    try {
      for await (const chunk of body) {
        byteSize += chunk.length;
        this.handed += chunk.length;
        hash.update(chunk);
        await this.pace();
      }
    } catch (error) {
      failure = error;
    }
    const sha256 = hash.digest("hex");
    this.seen.push({ filename, byteSize, sha256, failure: failure && (failure.code ?? failure.extensions?.code) });
    if (failure !== null && !(failure instanceof AppError)) throw failure;
    const mediaType = "application/octet-stream";
    const outcome = failure ?? { byteSize, sha256: encode(sha256), mediaType, mediaKind: "OTHER" };
    return new IncomingFile(filename, sha256, outcome);
  }

  /** What became of the files, by name. */
  get failures(): readonly (string | null)[] {
    return this.seen.toSorted((a, b) => a.filename.localeCompare(b.filename)).map(({ failure }) => failure);
  }

  async post(body: BodyInit, type = FORM_TYPE): Promise<{ readonly status: number; readonly body: Any }> {
    const response = await fetch(this.url, { method: "POST", headers: { "content-type": type }, body });
    return { status: response.status, body: await response.json() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Sends the head of a form, whose parts come bit by bit. */
export function beginForm(target: string, headers: Readonly<Record<string, string>>): Promise<SlowRequest> {
  return SlowRequest.begin("POST", target, { "content-type": FORM_TYPE, ...headers });
}
