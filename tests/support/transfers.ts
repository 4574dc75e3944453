/** Files that were announced, and clients that send them: whole, in parts, and over connections that break. */
import { strict as assert } from "node:assert";
import { findId } from "../../src/lib/ids.ts";
import type { Any, Api, Person, TestApp, TestRoom } from "./app.ts";
import { done } from "./mutations.ts";
import { SlowRequest } from "./slow_requests.ts";
import { linkTo } from "./stored_files.ts";
import { reachable } from "./uploads.ts";

/** Text that repeats nowhere: a part in the wrong place is seen. */
export const BYTES = new TextEncoder().encode(Array.from({ length: 30_000 }, (_, n) => `${n}`.padStart(9)).join("\n"));
export const TINY = BYTES.slice(0, 10);

export interface World {
  readonly app: TestApp;
  readonly alice: Person;
  readonly bob: Person;
  readonly room: TestRoom;
}

/** Bob is a member of a room of Alice's. */
export async function arrange(app: TestApp): Promise<World> {
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  return { app, alice, bob, room: await app.makeRoom(alice, bob) };
}

/** Status, code of the error or what became of the file, and `Upload-Offset` where there is one. */
export const outcomeOf = ({ status, offset, body }: PutAnswer) => [
  status,
  body.error?.code ?? body.status,
  ...offset === null ? [] : [offset],
];

/** The file is there for its uploader, and the same. */
export async function assertArrived({ app, bob }: World, announced: Announced, bytes = BYTES): Promise<void> {
  const response = await fetch(linkTo(app, bob, { attachment: announced }));
  assert.equal(response.status, 200);
  assert.deepEqual(await response.bytes(), bytes);
  assert.deepEqual(await offsetOf(announced), [bytes.length, bytes.length]);
}

export interface Announced {
  /** In the database. */
  readonly id: string;
  readonly filename: string;
  readonly byteSize: number;
  readonly url: string;
}

export async function announceFile(
  app: Pick<TestApp, "run" | "url">,
  as: Person,
  { room, byteSize, filename = "notes.txt" }: {
    readonly room: Pick<TestRoom, "id">;
    readonly byteSize: number;
    readonly filename?: string;
  },
): Promise<Announced> {
  const input = { roomId: room.id, filename, byteSize };
  const { attachmentId, url } = await done(app, "createUpload", input, as, "attachmentId url");
  return { id: findId("attachment", attachmentId) ?? "", filename, byteSize, url: reachable(app, url) };
}

/** What the database knows of the file. */
export async function fileOf({ app }: TestApp, { id }: Announced): Promise<Any> {
  const [row] = await app.sql`
    select files.*
    from attachments
    join files on files.id = attachments.file_id
    where attachments.id = ${id}`;
  return row;
}

/** The same upload on another node. */
export function through(app: Api, announced: Announced): Announced {
  return { ...announced, url: reachable(app, announced.url) };
}

export interface PutAnswer {
  readonly status: number;
  readonly body: Any;
  /** `Upload-Offset`. */
  readonly offset: number | null;
}

/** Sends bytes; with `from` as the rest of a file, from that byte on. */
export async function put(
  { url, byteSize }: Pick<Announced, "url" | "byteSize">,
  bytes: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
  { from, range = from === undefined ? undefined : rangeFrom(from, byteSize) }: {
    readonly from?: number;
    readonly range?: string | undefined;
  } = {},
): Promise<PutAnswer> {
  const headers = range === undefined ? {} : { "content-range": range };
  const response = await fetch(url, { method: "PUT", body: bytes, headers });
  return { status: response.status, offset: offsetIn(response.headers), body: await response.json() };
}

function offsetIn(headers: Headers): number | null {
  const offset = headers.get("upload-offset");
  return offset === null ? null : Number(offset);
}

function rangeFrom(from: number, byteSize: number): string {
  return from === byteSize ? `bytes */${byteSize}` : `bytes ${from}-${byteSize - 1}/${byteSize}`;
}

/** `Upload-Offset` and `Upload-Length`; the status alone where there is nothing. */
export async function offsetOf({ url }: Pick<Announced, "url">): Promise<number[]> {
  const { status, headers } = await fetch(url, { method: "HEAD" });
  const numbers = ["upload-offset", "upload-length"].map((name) => headers.get(name));
  return status === 200 ? numbers.map(Number) : [status];
}

/** The bytes as a stream: their number is not said before. */
export function streamed(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

/** A `PUT` whose body comes bit by bit, or never to its end. */
export class SlowPut implements Disposable {
  private constructor(private readonly request: SlowRequest) {}

  /** Sends the head of the request. */
  static async begin(
    { url, byteSize }: Pick<Announced, "url" | "byteSize">,
    { from = null }: { readonly from?: number | null } = {},
  ): Promise<SlowPut> {
    const request = await SlowRequest.begin("PUT", url, {
      connection: "close",
      "content-length": `${byteSize - (from ?? 0)}`,
      ...from !== null && { "content-range": rangeFrom(from, byteSize) },
    });
    return new SlowPut(request);
  }

  async send(bytes: Uint8Array): Promise<void> {
    await this.request.send(bytes);
  }

  async answer(): Promise<PutAnswer> {
    const { status, headers, body } = await this.request.answer();
    return { status, offset: offsetIn(headers), body: JSON.parse(body) };
  }

  [Symbol.dispose](): void {
    this.request[Symbol.dispose]();
  }
}

/** Sends the bytes up to there, and no more, though more are awaited. */
export async function breakOff(
  announced: Announced,
  bytes: Uint8Array<ArrayBuffer>,
  { from, to }: { readonly from?: number | undefined; readonly to: number },
): Promise<void> {
  const { status } = await put(announced, streamed(bytes.slice(from, to)), from === undefined ? {} : { from });
  assert.equal(status, 400);
  assert.deepEqual(await offsetOf(announced), [to, bytes.length]);
}

/** Goes on as a client does, until the server has taken the file. */
export async function goOn(announced: Announced, bytes: Uint8Array<ArrayBuffer>): Promise<PutAnswer> {
  let [from = 0] = await offsetOf(announced);
  while (true) {
    const answer = await put(announced, bytes.slice(from), { from });
    if (answer.status !== 409 || answer.offset === null) return answer;
    from = answer.offset; // what an older request had in hand was safe just now
  }
}

/** Whether the server has taken a request for the file in hand. */
export async function hasBegun(app: TestApp, announced: Announced): Promise<boolean> {
  const { status, progress } = await fileOf(app, announced);
  return status !== "INCOMING" || progress !== null;
}
