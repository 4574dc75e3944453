/** Requests with files as they come in: how much of one is taken, and how it ends when one side gives up. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { AppError } from "../src/errors.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { beginForm, formOf, FormServer, formWith } from "./support/multipart.ts";
import { seededRandom } from "./support/random.ts";

const MIB = 1024 * 1024;
const random = seededRandom(12);
const randomBytes = (length: number) => Uint8Array.from({ length }, () => random() * 256);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

Deno.test("what comes behind the end of a form is ignored, also when it comes late", async () => {
  await using server = new FormServer();
  const form = formWith("hello");
  using upload = await beginForm(server.url, { "content-length": `${form.length + 7}` });
  await upload.send(form);
  await eventually("the form is read", () => server.taken === form.length && server.seen.length === 1);
  await upload.send(new Uint8Array(7));
  assert.equal((await inTime("the answer", upload.answer())).status, 200);
});

Deno.test("a file that is too large by one byte is the only one that is not taken", async () => {
  await using server = new FormServer({ fileBytesMax: 100_000 });
  const files = [randomBytes(100_000), randomBytes(100_001), randomBytes(199_999), randomBytes(5)];
  const { status, body } = await server.post(formWith(...files));
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(server.failures, [null, "FILE_TOO_LARGE", "FILE_TOO_LARGE", null]);
  const [first, second, , last] = body.variables.files;
  assert.deepEqual([first.fileId, last.fileId], [sha256(files[0] ?? last), sha256(files[3] ?? last)]);
  assert.deepEqual([second.outcome.code, second.outcome.details], ["FILE_TOO_LARGE", { limit: 100_000 }]);
});

Deno.test("a file that goes on and on after it was too large ends the request", async () => {
  await using server = new FormServer({ fileBytesMax: 100_000 });
  const { status, body } = await server.post(formWith("fine", randomBytes(300_000)));
  assert.deepEqual([status, body.code, body.limit], [413, "FILE_TOO_LARGE", 100_000]);
  assert.deepEqual(server.failures, [null, "FILE_TOO_LARGE"]);
});

Deno.test("a request that says it is too large is refused before anything of it is read", async () => {
  await using server = new FormServer();
  using upload = await beginForm(server.url, { "content-length": `${12 * MIB}` });
  const answer = await inTime("the refusal", upload.answer());
  assert.equal(answer.status, 413);
  assert.match(answer.body, /"REQUEST_ENTITY_TOO_LARGE"/);
  assert.equal(server.taken, 0);
});

Deno.test("texts and headers of a form are bounded, each and all together", async () => {
  await using server = new FormServer();
  const padded = (bytes: number) => JSON.stringify({ query: "q".repeat(bytes - 12) });
  const paddedMap = (bytes: number) => `{}${" ".repeat(bytes - 2)}`;
  const form = (operationsBytes: number, mapBytes: number) =>
    server.post(formOf({ name: "operations", content: padded(operationsBytes) }, {
      name: "map",
      content: paddedMap(mapBytes),
    }));
  assert.equal((await form(256 * 1024, 64 * 1024)).status, 200);
  assert.equal((await form(256 * 1024 + 1, 10)).status, 413);
  assert.equal((await form(100, 64 * 1024 + 1)).status, 413);
  server.taken = 0;
  using upload = await beginForm(server.url, { "transfer-encoding": "chunked" });
  const answer = upload.answer();
  // As much as is refused, and no more: what comes then the runtime throws away by itself.
  for (let sent = 0; sent < MIB / 2; sent += 32_768) await upload.sendChunk(new Uint8Array(32_768));
  assert.equal((await inTime("the refusal", answer)).status, 413);
  assert.ok(server.taken < MIB / 2, `${server.taken}`);
});

Deno.test("a file is taken from the client no faster than its receiver takes it", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = new FormServer({ fileBytesMax: 50 * MIB }, () => gate.promise);
  const content = new Uint8Array(40 * MIB);
  const answer = server.post(formWith(content));
  await eventually("the file begins", () => server.handed > 0);
  // What the parser, the sockets and the streams between them hold, however long it lasts.
  let [before, rounds] = [-1, 0];
  await eventually("no more is taken", () => {
    rounds = server.taken === before ? rounds + 1 : 0;
    before = server.taken;
    return rounds === 10;
  });
  gate.resolve();
  assert.equal((await answer).status, 200);
  assert.ok(before < MIB, `${before} bytes were held`);
  assert.equal(server.seen[0]?.byteSize, content.length);
});

Deno.test("a client that goes away in the middle of a file ends its receiver, and leaves nothing behind", async () => {
  await using server = new FormServer();
  const form = formWith("first", randomBytes(200_000));
  {
    using upload = await beginForm(server.url, { "content-length": `${form.length}` });
    await upload.send(form.subarray(0, 100_000));
    await eventually("the file begins", () => server.handed > 10_000);
  }
  await eventually("both are over", () => server.seen.length === 2);
  assert.deepEqual(server.failures, [null, "BAD_REQUEST"]);
});

Deno.test("a client that stops sending is given up", async () => {
  await using server = new FormServer({ idleMs: 50 });
  const form = formWith(randomBytes(1_000));
  using upload = await beginForm(server.url, { "content-length": `${form.length}` });
  await upload.send(form.subarray(0, 800));
  assert.equal((await inTime("the end", upload.answer())).status, 408);
  assert.deepEqual(server.failures, ["BAD_REQUEST"]);
});

Deno.test("a receiver that fails ends the request with its error, and one that wants no more holds nobody up", async () => {
  await using failing = new FormServer({
    receive: async ({ body }) => {
      await body.cancel();
      throw new AppError("UNAVAILABLE", "Cannot store the file: the storage is away");
    },
  });
  const refused = await failing.post(formWith(randomBytes(300_000), "b"));
  assert.deepEqual([refused.status, refused.body.code], [503, "UNAVAILABLE"]);

  await using picky = new FormServer({
    receive: async ({ filename, body }) => {
      await body.cancel();
      return { filename, fileId: "none", outcome: "none" } as never;
    },
  });
  const { status, body } = await picky.post(formWith(randomBytes(900_000), "", randomBytes(900_000)));
  assert.deepEqual([status, body.variables.files.length], [200, 3]);
});
