/** The files of one request: read for those only who may send some, and discarded after it where no resolver took them. */
import type { GraphQLParams } from "graphql-yoga";
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { discardFiles } from "../uploads/deletions.ts";
import { type IncomingFile, receiveFile } from "../uploads/receiving.ts";
import { requireQuota } from "../uploads/taking.ts";
import { readMultipart, type ReceivedPart } from "./multipart.ts";
import type { OperationContext } from "./operations.ts";
import { Pacer } from "./pacer.ts";

/** Pieces of uploads in one turn of the event loop, of up to 64 KiB and 0.5 ms each. Of 50 photos at once without a bound,
 * one turn was 30 ms long and half of the messages meanwhile took 200 ms; so it is 8 ms, at 60 MB/s. */
const PIECES_PER_TURN = 4;

export class RequestFiles {
  readonly #received: IncomingFile[] = [];
  #isOver = false;

  constructor(private readonly app: App, private readonly request: Request) {}

  /** The request as whoever answers it needs it: without its body. */
  get head(): Request {
    const { url, method, signal } = this.request;
    const headers = new Headers(this.request.headers);
    headers.delete("content-length");
    return new Request(url, { method, headers, signal });
  }

  /** Reads the request and stores its files. Nothing is read for nobody, above the rate limit, or where nothing more fits.
   * Throws UNAUTHENTICATED, RATE_LIMITED, QUOTA_EXCEEDED, and what `readMultipart` throws. */
  async read({ viewer, refusal }: OperationContext): Promise<GraphQLParams> {
    if (viewer === null) throw refusal ?? new AppError("UNAUTHENTICATED", "Cannot take files: sign in first");
    const { limits, config } = this.app;
    await limits.take("upload", viewer.userId);
    await requireQuota(this.app, viewer.userId);
    return await readMultipart(this.request, {
      fileBytesMax: config.maxUploadBytes,
      pacer: this.app.once(uploadPacer),
      receive: (part) => this.#receive(viewer, part),
    });
  }

  /** After the answer, or when nobody waits for it any more. */
  end(): void {
    this.#isOver = true;
    this.#discard(this.#received);
    const { body } = this.request;
    if (body?.locked === false) this.app.background(body.cancel()); // of one who was refused before it was read
  }

  async #receive(viewer: Viewer, part: ReceivedPart): Promise<IncomingFile> {
    const file = await receiveFile(this.app, viewer, part);
    if (this.#isOver) this.#discard([file]);
    else this.#received.push(file);
    return file;
  }

  #discard(files: readonly IncomingFile[]): void {
    const fileIds = files.filter(({ isTaken }) => !isTaken).map(({ fileId }) => fileId);
    if (fileIds.length > 0) this.app.background(discardFiles(this.app, fileIds));
  }
}

function uploadPacer(): Pacer {
  return new Pacer(PIECES_PER_TURN);
}
