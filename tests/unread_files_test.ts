/** Files that somebody asks for and does not read: what they need is given back, and whoever reads gets all of it. */
import { strict as assert } from "node:assert";
import { answerFile } from "../src/http/files.ts";
import { endUnread } from "../src/http/unread_bodies.ts";
import { startApp } from "./support/app.ts";
import { assertSameBytes, bytesOf } from "./support/bodies.ts";
import { inTime } from "./support/eventually.ts";
import { attachFile, linkTo } from "./support/stored_files.ts";

/** More than the network takes when nobody reads. */
const FILE_BYTES = 32 * 1024 * 1024;
const UNREAD_MS_MAX = 50;

Deno.test("a file that its client asks for and does not read is closed, and the client can tell that it has not all of it", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const attachment = await attachFile(app, alice, {
    room: await app.makeRoom(alice),
    bytes: new Uint8Array(FILE_BYTES),
  });
  const closed = Promise.withResolvers<void>();
  const { files } = app.app;
  const read = files.read.bind(files);
  files.read = async (...args) =>
    (await read(...args))?.pipeThrough(new TransformStream({ cancel: () => closed.resolve() })) ?? null;
  const errors: unknown[] = [];
  const onError = (error: unknown) => {
    errors.push(error);
    return new Response(null, { status: 500 });
  };
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, onError }, (request) => {
    return answerFile(app.app, request, { unreadMsMax: UNREAD_MS_MAX });
  });
  const { pathname, search } = new URL(linkTo(app, alice, { attachment }));
  using connection = await Deno.connect({ port: server.addr.port });
  await connection.write(new TextEncoder().encode(`GET ${pathname}${search} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
  await inTime("the file is closed", closed.promise);
  const received = await inTime("the end of the connection", readAll(connection));
  assert.ok(received > 0 && received < FILE_BYTES, `${received} bytes have come`);
  assert.deepEqual(errors, [], "it is no error of the server");
});

Deno.test("a storage that takes its time is none of the client's fault: all of the file comes", async () => {
  const bytes = bytesOf(300_000);
  const ended = Promise.withResolvers<void>();
  const unread = endUnread(bodyOf(bytes, { cancel: () => ended.resolve() }), UNREAD_MS_MAX).getReader();
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    // The storage waits for as long as another answer needs to be ended.
    return new Response(endUnread(bodyOf(bytes, { until: ended.promise }), UNREAD_MS_MAX));
  });
  const response = await fetch(`http://127.0.0.1:${server.addr.port}`);
  const body = response.bytes();
  await unread.read();
  await inTime("the other answer is ended", ended.promise);
  assert.equal((await unread.read()).done, true);
  assertSameBytes(await inTime("the file", body), bytes);
});

async function readAll(connection: Deno.TcpConn): Promise<number> {
  const buffer = new Uint8Array(65_536);
  for (let received = 0;;) {
    const count = await connection.read(buffer).catch(() => null); // it is cut off
    if (count === null) return received;
    received += count;
  }
}

/** A body whose second half comes `until` then. */
function bodyOf(bytes: Uint8Array, { until, cancel }: {
  readonly until?: Promise<void>;
  readonly cancel?: () => void;
}): ReadableStream<Uint8Array> {
  const halves = [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (halves.length === 1) await until;
      const half = halves.shift();
      if (half === undefined) controller.close();
      else controller.enqueue(half);
    },
    ...cancel && { cancel },
  }, { highWaterMark: 0 });
}
