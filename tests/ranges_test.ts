/** Parts of files, and files that a client has already: what players and browsers ask for. */
import { strict as assert } from "node:assert";
import { parseContentRange, parseRange } from "../src/lib/byte_ranges.ts";
import { type Person, startApp, type TestApp } from "./support/app.ts";
import { inTime } from "./support/eventually.ts";
import { attachFile, linkTo, TEN_BYTES } from "./support/stored_files.ts";
import { Wire } from "./support/wires.ts";

Deno.test("every form of a range means what RFC 9110 says", () => {
  const table: readonly (readonly [header: string | null, expected: unknown])[] = [
    [null, null],
    ["bytes=0-0", [0, 1]],
    ["bytes=0-", [0, 10]],
    ["bytes=3-5", [3, 6]],
    ["bytes=9-", [9, 10]],
    ["bytes=9-9", [9, 10]],
    ["bytes=5-1000", [5, 10]],
    ["bytes=-3", [7, 10]],
    ["bytes=-1000", [0, 10]],
    ["BYTES=1-2", [1, 3]],
    ["bytes= 1-2 ", [1, 3]],
    ["bytes=0-99999999999999999999999999", [0, 10]],
    ["bytes=10-", "UNSATISFIABLE"],
    ["bytes=10-20", "UNSATISFIABLE"],
    ["bytes=99999999999999999999999999-", "UNSATISFIABLE"],
    ["bytes=-0", "UNSATISFIABLE"],
    ["bytes=5-4", null],
    ["bytes=-", null],
    ["bytes=", null],
    ["bytes", null],
    ["", null],
    ["bytes=a-b", null],
    ["bytes=1-2x", null],
    ["bytes=1.0-2", null],
    ["bytes=0-1,3-4", null],
    ["bytes=0-1,", null],
    ["items=0-1", null],
    ["0-1", null],
  ];
  for (const [header, expected] of table) {
    const range = parseRange(header, 10);
    assert.deepEqual(
      range === null || typeof range === "string" ? range : [range.start, range.end],
      expected,
      `${header}`,
    );
  }
  for (const header of ["bytes=0-", "bytes=-1", "bytes=0-0"]) assert.equal(parseRange(header, 0), "UNSATISFIABLE");
});

Deno.test("Content-Range says what is sent, or that nothing is", () => {
  assert.deepEqual(parseContentRange("bytes 3-9/10"), { range: { start: 3, end: 10 }, byteSize: 10 });
  assert.deepEqual(parseContentRange("bytes */10"), { range: null, byteSize: 10 });
  const none = ["", "bytes", "bytes 3-9", "bytes 3-10/10", "bytes 9-3/10", "bytes 0-1/*", "bytes=0-1/2", "bytes -1/2"];
  for (const header of [...none, "items 0-1/2", "bytes 0-1/2, 3-4/5", "bytes 0-1/99999999999999999999"]) {
    assert.equal(parseContentRange(header), null, header);
  }
});

Deno.test("a player gets the part that it asks for, and reads nothing else", async () => {
  await using app = await startApp();
  const { url, etag } = await attach(app);
  const get = async (headers: Record<string, string>) => {
    const response = await fetch(url, { headers });
    return [response.status, response.headers.get("content-range"), await response.text()];
  };
  assert.deepEqual(await get({ range: "bytes=2-4" }), [206, "bytes 2-4/10", "234"]);
  assert.deepEqual(await get({ range: "bytes=-2" }), [206, "bytes 8-9/10", "89"]);
  assert.deepEqual(await get({ range: "bytes=0-" }), [206, "bytes 0-9/10", "0123456789"]);
  assert.deepEqual(await get({ range: "bytes=1-2,4-5" }), [200, null, "0123456789"], "several: all of it");
  assert.deepEqual(await get({ range: "bytes=2-4", "if-range": etag }), [206, "bytes 2-4/10", "234"]);
  for (const other of [`W/${etag}`, `"other"`, new Date().toUTCString()]) {
    assert.deepEqual(await get({ range: "bytes=2-4", "if-range": other }), [200, null, "0123456789"], other);
  }
  const [status, range, body] = await get({ range: "bytes=10-" });
  assert.deepEqual([status, range], [416, "bytes */10"]);
  assert.equal(JSON.parse(`${body}`).error.code, "BAD_USER_INPUT");
});

Deno.test("a browser that has the file already gets nothing, if it may still see it", async () => {
  await using app = await startApp();
  const { url, etag, forget } = await attach(app);
  const ask = async (known: string, method = "GET") => {
    const { status, headers, body } = await fetch(url, { method, headers: { "if-none-match": known } });
    await body?.cancel();
    return [status, headers.get("etag")];
  };
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    assert.deepEqual(await ask(known), [304, etag], known);
    assert.deepEqual(await ask(known, "HEAD"), [304, etag], known);
  }
  assert.deepEqual(await ask(`"other"`), [200, etag]);
  await forget();
  assert.deepEqual(await ask(etag), [404, null]);
});

Deno.test("HEAD says the same as GET, without the file", async () => {
  await using app = await startApp();
  const { url } = await attach(app);
  const [head, get] = [await fetch(url, { method: "HEAD", headers: { range: "bytes=0-1" } }), await fetch(url)];
  assert.deepEqual([head.status, await head.text(), await get.text()], [200, "", "0123456789"]);
  const isFixed = ([name]: readonly [string, string]) => !["date", "cache-control"].includes(name); // these count seconds
  assert.deepEqual([...head.headers].filter(isFixed), [...get.headers].filter(isFixed));
});

Deno.test("other methods are told what there is, and pages of foreign origins what they may", async () => {
  await using app = await startApp({ ALLOWED_ORIGINS: "https://chat.example" });
  const { url } = await attach(app);
  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
    const response = await fetch(url, { method, body: "x" });
    await response.body?.cancel();
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD, OPTIONS"], method);
  }
  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    for (
      const [origin, allowed] of [["https://chat.example", "https://chat.example"], ["https://evil.example", null]]
    ) {
      const { headers, body } = await fetch(url, { method, headers: { origin: `${origin}` } });
      await body?.cancel();
      assert.deepEqual([headers.get("access-control-allow-origin"), headers.get("vary")], [allowed, "Origin"], method);
    }
  }
  const preflight = await fetch(url, { method: "OPTIONS", headers: { origin: "https://chat.example" } });
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /Range/);
});

Deno.test("of a client that goes away in the middle nothing stays open", async () => {
  await using app = await startApp();
  await using wire = await Wire.to(Number(new URL(app.url).port));
  const { url } = await attach(app, new Uint8Array(32 * 1024 * 1024));
  const { files } = app.app;
  const read = files.read.bind(files);
  const closed = Promise.withResolvers<void>();
  files.read = async (...args) =>
    (await read(...args))?.pipeThrough(new TransformStream({ cancel: () => closed.resolve() })) ?? null;
  const response = await fetch(wire.rewrite(url));
  const reader = response.body?.getReader();
  await reader?.read();
  wire.cut();
  await assert.rejects(async () => {
    while (!(await reader?.read())?.done);
  });
  await inTime("the file is closed", closed.promise);
});

/** A file of which the link, the ETag and the end are known. */
async function attach(app: TestApp, bytes: Uint8Array<ArrayBuffer> = TEN_BYTES) {
  const as: Person = await app.signUp("alice");
  const attachment = await attachFile(app, as, { room: await app.makeRoom(as), bytes });
  const url = linkTo(app, as, { attachment });
  const { headers, body } = await fetch(url, { method: "HEAD" });
  await body?.cancel();
  const forget = () => app.app.sql`delete from attachments where id = ${attachment.id}`;
  return { url, etag: headers.get("etag") ?? "", forget };
}
