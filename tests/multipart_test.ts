/** Requests with files: read part by part and never held, and refused where they are wrong before they cost anything.
 * https://github.com/jaydenseric/graphql-multipart-request-spec */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { LIMITS } from "../src/platform/limits.ts";
import { startApp, type TestApp } from "./support/app.ts";
import { inTime } from "./support/eventually.ts";
import { encode, joinBytes } from "./support/bytes.ts";
import { beginForm, BOUNDARY, FORM_TYPE, formOf, FormServer, formWith, type Part } from "./support/multipart.ts";
import { seededRandom } from "./support/random.ts";

const MIB = 1024 * 1024;
const random = seededRandom(11);
const randomBytes = (length: number) => Uint8Array.from({ length }, () => random() * 256);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const operations = (variables: object): Part => ({
  name: "operations",
  content: JSON.stringify({ query: "mutation", variables }),
});
const map = (paths: unknown): Part => ({ name: "map", content: JSON.stringify(paths) });
const file = (name: string, content: string | Uint8Array = "bytes"): Part => ({ name, filename: "a.png", content });

Deno.test("files take their places in the variables, whole and in the order of the form", async () => {
  await using server = new FormServer();
  const [small, large] = [randomBytes(3), randomBytes(300_000)];
  const { status, body } = await server.post(formOf(
    operations({ input: { avatar: null, files: [null, null] }, again: null, note: "kept" }),
    map({
      a: ["variables.input.avatar", "variables.again"],
      b: ["variables.input.files.1"],
      c: ["variables.input.files.0"],
    }),
    file("a", small),
    file("b", large),
    { name: "c", filename: "Größe 写真.png", content: "" },
  ));
  assert.equal(status, 200, JSON.stringify(body));
  const { input, again, note } = body.variables;
  assert.equal(note, "kept");
  assert.deepEqual(again, input.avatar);
  const ids = [input.avatar, input.files[1], input.files[0]].map(({ fileId }) => fileId);
  assert.deepEqual(ids, [sha256(small), sha256(large), sha256(new Uint8Array(0))]);
  assert.equal(input.files[0].filename, "Größe 写真.png");
});

Deno.test("a form reads the same however its bytes come, also where a boundary almost begins within a file", async () => {
  await using server = new FormServer();
  const tricky = joinBytes(encode(`\r\n--${BOUNDARY.slice(0, -1)}\r\n\r\n`), randomBytes(2_000), encode("\r\n--"));
  const form = formWith(tricky, randomBytes(50), "");
  const whole = await server.post(form);
  assert.equal(whole.body.variables.files[0].fileId, sha256(tricky));
  for (const sizeMax of [1, 7, 100]) {
    let at = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= form.length) return controller.close();
        const end = at + 1 + Math.floor(random() * sizeMax);
        controller.enqueue(form.subarray(at, end));
        at = end;
      },
    });
    assert.deepEqual(await server.post(stream), whole, `pieces of up to ${sizeMax}`);
  }
});

Deno.test("browsers' own forms are understood, with texts sent as files as well", async () => {
  await using server = new FormServer();
  for (const isFile of [false, true]) {
    const form = new FormData();
    const texts = { operations: `{ "query": "q", "variables": { "file": null } }`, map: `{ "0": ["variables.file"] }` };
    for (const [name, text] of Object.entries(texts)) {
      form.append(name, isFile ? new Blob([text], { type: "application/json" }) : text);
    }
    form.append("0", new File(["hello"], '100% "emoji" 😀\r\n.txt'));
    const response = await fetch(server.url, { method: "POST", body: form });
    const { variables } = await response.json();
    // No file on Windows may have quotes in its name.
    assert.deepEqual([response.status, variables.file.filename], [200, "100% _emoji_ 😀.txt"]);
    assert.equal(variables.file.fileId, sha256(encode("hello")));
  }
});

Deno.test("a name of a file is only a name, whatever a client sends", async () => {
  await using server = new FormServer();
  const names = {
    ...{ "../../etc/passwd": "passwd", "C:\\\\a\\\\b.png": "b.png", "a\u202egpj.exe": "agpj.exe", "": "file" },
    ...{ "a%22b%22.png": "a_b_.png", "a%0D%0Ab.png": "ab.png", "100%25%2F%41 %0a.png": "100%25%2F%41 %0a.png" },
  };
  for (const [given, clean] of Object.entries(names)) {
    const parts = [operations({ file: null }), map({ 0: ["variables.file"] })];
    const { body } = await server.post(formOf(...parts, { name: "0", filename: given, content: "x" }));
    assert.equal(body.variables?.file.filename, clean, given);
  }
});

Deno.test("a form without files is an operation like any other", async () => {
  await using server = new FormServer();
  const { status, body } = await server.post(formOf(operations({ a: 1 }), map({})));
  assert.deepEqual([status, body], [200, { query: "mutation", variables: { a: 1 } }]);
});

const BAD: Readonly<Record<string, readonly Part[]>> = {
  "a map that is a number": [operations({ a: null }), map(1)],
  "a map that is a list": [operations({ a: null }), map([["variables.a"]])],
  "a map that is null": [operations({ a: null }), map(null)],
  "a map that is no JSON": [operations({ a: null }), { name: "map", content: "{" }],
  "an entry that is a text": [operations({ a: null }), map({ 0: "variables.a" }), file("0")],
  "an entry of numbers": [operations({ a: null }), map({ 0: [1] }), file("0")],
  "an entry of nothing": [operations({ a: null }), map({ 0: [] }), file("0")],
  "a path outside of the variables": [operations({ a: null }), map({ 0: ["query"] }), file("0")],
  "a path that is the variables": [operations({ a: null }), map({ 0: ["variables"] }), file("0")],
  "a path that is not there": [operations({ a: null }), map({ 0: ["variables.b"] }), file("0")],
  "a path below null": [operations({ a: null }), map({ 0: ["variables.a.b"] }), file("0")],
  "a path into a text": [operations({ a: "text" }), map({ 0: ["variables.a.0"] }), file("0")],
  "a place that is taken": [operations({ a: 1 }), map({ 0: ["variables.a"] }), file("0")],
  "one place for two files": [operations({ a: null }), map({ 0: ["variables.a"], 1: ["variables.a"] }), file("0")],
  "a length as a place": [operations({ a: [null] }), map({ 0: ["variables.a.length"] }), file("0")],
  "a way to all prototypes": [operations({}), map({ 0: ["variables.__proto__.polluted"] }), file("0")],
  "another way there": [operations({}), map({ 0: ["variables.constructor.prototype.polluted"] }), file("0")],
  "a sent prototype": [
    { name: "operations", content: `{ "query": "q", "variables": { "__proto__": { "polluted": null } } }` },
    map({ 0: ["variables.__proto__.polluted"] }),
    file("0"),
  ],
  "no variables": [{ name: "operations", content: `{ "query": "q" }` }, map({ 0: ["variables.a"] }), file("0")],
  "101 paths": [
    operations({ a: Array(101).fill(null) }),
    map({ 0: Array.from({ length: 101 }, (_, index) => `variables.a.${index}`) }),
  ],
  "5,000 paths": [
    operations({ a: null }),
    map({ 0: Array.from({ length: 5_000 }, () => "v.a") }),
  ],
  "11 files": [
    operations({ a: Array(11).fill(null) }),
    map(Object.fromEntries(Array.from({ length: 11 }, (_, index) => [index, [`variables.a.${index}`]]))),
  ],
  "a file that never comes": [
    operations({ a: null, b: null }),
    map({ 0: ["variables.a"], 1: ["variables.b"] }),
    file("0"),
  ],
  "a file that is not in the map": [operations({ a: null }), map({ 0: ["variables.a"] }), file("0"), file("1")],
  "a file that comes twice": [operations({ a: null }), map({ 0: ["variables.a"] }), file("0"), file("0")],
  "a text that nobody knows": [operations({}), map({}), { name: "hello", content: "world" }],
  "operations twice": [operations({}), operations({}), map({})],
  "a map twice": [operations({}), map({}), map({})],
  "a file before the map": [operations({ a: null }), file("0"), map({ 0: ["variables.a"] })],
  "a map before the operations": [map({}), operations({})],
  "no map": [operations({})],
  "nothing at all": [],
  "a batch": [{ name: "operations", content: `[{ "query": "q", "variables": { "a": null } }]` }, map({})],
  "operations that are a text": [{ name: "operations", content: `"query"` }, map({})],
  "operations that are no JSON": [{ name: "operations", content: "{" }, map({})],
};

Deno.test("a form that is wrong is refused with 400 and a reason, and no prototype is touched", async () => {
  await using server = new FormServer();
  for (const [what, parts] of Object.entries(BAD)) {
    const { status, body } = await server.post(formOf(...parts));
    assert.deepEqual([status, body.code], [400, "BAD_REQUEST"], `${what}: ${JSON.stringify(body)}`);
    assert.match(body.message, /^Cannot read the request: /, what);
    assert.equal("polluted" in {}, false, what);
  }
});

Deno.test("bytes that are no form are refused with 400", async () => {
  await using server = new FormServer();
  const form = formWith(randomBytes(1_000));
  const wrong: readonly (readonly [what: string, body: Uint8Array<ArrayBuffer>, type?: string])[] = [
    ["no boundary", form, "multipart/form-data"],
    ["another boundary", form, "multipart/form-data; boundary=other"],
    ["a boundary without end", form, `multipart/form-data; boundary=${"b".repeat(10_000)}`],
    ["no bytes", new Uint8Array(0)],
    ["noise", new Uint8Array(randomBytes(5_000))],
    ["an end before the beginning", new Uint8Array(joinBytes(encode(`--${BOUNDARY}--`), form.subarray(2)))],
    ["a part without a name", new Uint8Array(encode(`--${BOUNDARY}\r\n\r\nx\r\n--${BOUNDARY}--\r\n`))],
    ["a part without an end of its headers", new Uint8Array(encode(`--${BOUNDARY}\r\nContent-Disposition: form-data`))],
  ];
  for (const [what, body, type] of wrong) {
    const answer = await server.post(body, type);
    assert.deepEqual([answer.status, answer.body.code], [400, "BAD_REQUEST"], what);
  }
  for (let end = 0; end < form.length - 4; end += 13) {
    const answer = await server.post(form.subarray(0, end));
    assert.deepEqual([answer.status, answer.body.code], [400, "BAD_REQUEST"], `cut at ${end} of ${form.length}`);
  }
});

const accept = "application/graphql-response+json";
const post = async (app: TestApp, body: Uint8Array<ArrayBuffer>, token: string) => {
  const headers = { accept, "content-type": FORM_TYPE, authorization: `Bearer ${token}` };
  const response = await fetch(app.url, { method: "POST", headers, body });
  return { status: response.status, body: await response.json() };
};

Deno.test("a form runs its operation; one that is wrong has the status and the code of other bad requests", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const query = { name: "operations", content: `{ "query": "{ viewer { user { id } } }" }` };
  const { status, body } = await post(app, formOf(query, map({})), alice.token);
  assert.deepEqual([status, body], [200, { data: { viewer: { user: { id: alice.id } } } }]);
  for (const what of ["a map that is null", "a batch", "5,000 paths", "a way to all prototypes", "nothing at all"]) {
    const refused = await post(app, formOf(...BAD[what] ?? []), alice.token);
    assert.deepEqual([refused.status, refused.body.errors[0].extensions.code], [400, "BAD_REQUEST"], what);
    assert.equal(refused.body.data, undefined);
  }
});

Deno.test("a form of nobody, of one whose token is bad, or of one who sent too many is refused before its body is read", async () => {
  await using app = await startApp({ RATE_LIMITS: "on" });
  const alice = await app.signUp("alice");
  const small = formOf({ name: "operations", content: `{ "query": "{ __typename }" }` }, map({}));
  for (let sent = 0; sent < LIMITS.upload.points; sent++) {
    assert.equal((await post(app, small, alice.token)).status, 200, `${sent}`);
  }
  const refusals = [
    [{}, 401, "UNAUTHENTICATED"],
    [{ authorization: "Bearer nonsense" }, 401, "UNAUTHENTICATED"],
    [{ authorization: `Bearer ${alice.token}` }, 429, "RATE_LIMITED"],
  ] as const;
  for (const [authorization, status, code] of refusals) {
    // Of what is announced nothing is sent: who waits for it never answers.
    const headers = { accept, "content-length": `${20 * MIB}`, ...authorization };
    using upload = await beginForm(app.url, headers);
    const answer = await inTime("the refusal", upload.answer());
    assert.equal(answer.status, status, answer.body);
    assert.match(answer.body, new RegExp(`"${code}"`));
  }
});
