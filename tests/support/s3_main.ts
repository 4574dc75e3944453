/** The S3 server of the tests: s3rver, with what it lacks of S3. A process of its own, so that no timer or connection of it is
 * in a test's way. Prints its port; each line that it reads is a failure that answers the next request. Ends with its input. */
import S3rver from "@20minutes/s3rver";
import { join } from "node:path";
import type { S3Failure } from "./s3_server.ts";

const PART_BYTES_MIN = 5 * 1024 * 1024;

interface Part {
  readonly number: number;
  readonly etag: string;
}

interface Store {
  getResourcePath(bucket: string, key: string | undefined, resource: string): string;
  putContent(path: string, content: unknown): Promise<[size: number, md5: string]>;
  putPart(bucket: string, uploadId: string, number: string, content: unknown): Promise<unknown>;
  putObjectMultipart(bucket: string, uploadId: string, parts: readonly Part[]): Promise<unknown>;
}

interface Context {
  readonly method: string;
  readonly path: string;
  readonly query: Record<string, string | undefined>;
  readonly req: { resume(): void };
  status: number;
  type: string;
  body: string;
}

class Refusal extends Error {
  constructor(readonly status: number, readonly code: string) {
    super(code);
  }
}

const [directory = "", bucket = ""] = Deno.args;
const failures: S3Failure[] = [];
const server = new S3rver({
  address: "127.0.0.1",
  port: 0,
  silent: true,
  directory,
  configureBuckets: [{ name: bucket }],
});
server.middleware.unshift(answer);
const store: Store = server.store;
completeStore();
const { port } = await server.run();
tell(port);
await readFailures();
Deno.exit();

async function answer(ctx: Context, next: () => Promise<void>): Promise<void> {
  try {
    const index = failures.findIndex(({ method, part }) => method === ctx.method && (!part || part in ctx.query));
    const [failure] = index < 0 ? [] : failures.splice(index, 1);
    if (failure && !failure.isAfterwards) throw new Refusal(failure.status, failure.code);
    await next();
    if (failure) throw new Refusal(failure.status, failure.code);
  } catch (error) {
    const { uploadId } = ctx.query;
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "MethodNotAllowed" && ctx.method === "DELETE" && uploadId) return await abort(ctx, uploadId);
    if (!(error instanceof Refusal)) throw error;
    refuse(ctx, error);
  }
}

function refuse(ctx: Context, { status, code }: Refusal): void {
  ctx.req.resume(); // a client that still sends would not read the answer
  ctx.status = status;
  ctx.type = "application/xml";
  ctx.body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>As asked</Message></Error>`;
}

/** It has checked the signature, but does not know AbortMultipartUpload. */
async function abort(ctx: Context, uploadId: string): Promise<void> {
  try {
    await Deno.remove(uploadPath(bucket, uploadId), { recursive: true });
    ctx.status = 204;
  } catch {
    refuse(ctx, new Refusal(404, "NoSuchUpload"));
  }
}

/** It leaves half an object where a request breaks off, and believes everything about parts. */
function completeStore(): void {
  const { putContent, putPart, putObjectMultipart } = store;
  store.putContent = async (path, content) => {
    const aside = join(directory, crypto.randomUUID());
    try {
      const written = await putContent.call(store, aside, content);
      await Deno.rename(aside, path);
      return written;
    } catch (error) {
      await Deno.remove(aside);
      throw error;
    }
  };
  store.putPart = async (bucket, uploadId, number, content) => {
    await requireUpload(bucket, uploadId);
    return await putPart.call(store, bucket, uploadId, number, content);
  };
  store.putObjectMultipart = async (bucket, uploadId, parts) => {
    await requireUpload(bucket, uploadId);
    for (const [index, { number, etag }] of parts.entries()) {
      const path = join(uploadPath(bucket, uploadId), String(number));
      const md5 = await Deno.readTextFile(`${path}.md5`).catch(() => null);
      if (md5 !== etag) throw new Refusal(400, "InvalidPart");
      const { size } = await Deno.stat(path);
      if (size < PART_BYTES_MIN && index < parts.length - 1) throw new Refusal(400, "EntityTooSmall");
    }
    return await putObjectMultipart.call(store, bucket, uploadId, parts);
  };
}

function uploadPath(bucket: string, uploadId: string): string {
  return join(store.getResourcePath(bucket, undefined, "uploads"), uploadId);
}

async function requireUpload(bucket: string, uploadId: string): Promise<void> {
  await Deno.stat(join(uploadPath(bucket, uploadId), "key")).catch(() => {
    throw new Refusal(404, "NoSuchUpload");
  });
}

function tell(text: string | number): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function readFailures(): Promise<void> {
  let text = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const [last = "", ...lines] = `${text}${chunk}`.split("\n").reverse();
    text = last;
    for (const line of lines.reverse()) {
      failures.push(JSON.parse(line));
      tell("heard");
    }
  }
}
