/** GraphQL over HTTP: which answer has which status, and what is refused before anything runs.
 * https://graphql.github.io/graphql-over-http/draft/ */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { createTestDatabase } from "./support/databases.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf, TRANSPORTS } from "./support/transports.ts";

const NEW = "application/graphql-response+json";
const OLD = "application/json";
const JSON_BODY = { "content-type": "application/json" };

interface Reply {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: Any;
}

async function fetchJson(url: string, init: RequestInit): Promise<Reply> {
  const response = await fetch(url, init);
  const text = await response.text();
  const contentType = response.headers.get("content-type");
  return { status: response.status, contentType, body: contentType?.includes("json") ? JSON.parse(text) : text };
}

const post = (url: string, body: object | string, accept = NEW) =>
  fetchJson(url, {
    method: "POST",
    headers: { ...JSON_BODY, accept },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

const NUMBERED = "query ($size: Int) { publicRooms(first: $size) { nodes { id } } }";

const ALIASES = `{ ${Array.from({ length: 31 }, (_, index) => `a${index}: __typename`).join(" ")} }`;

/** Well-formed requests that end in an error, with the status for clients who know the media type of GraphQL. */
const REFUSED: readonly (readonly [what: string, request: object, status: number, code: string])[] = [
  ["a syntax error", { query: "{ viewer { " }, 400, "GRAPHQL_PARSE_FAILED"],
  ["an unknown field", { query: "{ nothing }" }, 400, "GRAPHQL_VALIDATION_FAILED"],
  ["a variable of a wrong type", { query: NUMBERED, variables: { size: "many" } }, 400, "BAD_USER_INPUT"],
  ["a page that is too large", { query: NUMBERED, variables: { size: 101 } }, 400, "BAD_USER_INPUT"],
  ["an operation that is too large", { query: ALIASES }, 400, "LIMIT_EXCEEDED"],
  ["a field for members only", { query: `{ user(id: "x") { id } }` }, 401, "UNAUTHENTICATED"],
];

Deno.test("an error has a status of its own for clients who know GraphQL's media type, and 200 for the others", async () => {
  await using app = await startApp();
  for (const [what, request, status, code] of REFUSED) {
    for (const [accept, expected] of [[NEW, status], [OLD, 200], ["*/*", 200]] as const) {
      const reply = await post(app.url, request, accept);
      const about = `${what}, accepting ${accept}`;
      assert.deepEqual([reply.status, reply.body.errors[0].extensions.code], [expected, code], about);
      assert.equal(reply.contentType, `${accept === NEW ? NEW : OLD}; charset=utf-8`, about);
    }
  }
});

Deno.test("a request error has the same code over HTTP and over a WebSocket", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.connect(app);
  for (const [what, { query, variables }, , code] of REFUSED as Any[]) {
    assert.equal(codesOf(await socket.ask(query, variables))[0]?.[0], code, what);
  }
});

Deno.test("an answer without errors has 200 and the media type that was asked for", async () => {
  await using app = await startApp();
  for (const [accept, expected] of [[NEW, NEW], [OLD, OLD], ["*/*", OLD], [`text/html, ${OLD};q=0.5`, OLD]] as const) {
    const { status, contentType, body } = await post(app.url, { query: "{ __typename }" }, accept);
    assert.deepEqual([status, contentType], [200, `${expected}; charset=utf-8`], accept);
    assert.deepEqual(body, { data: { __typename: "Query" } });
  }
});

Deno.test("what is no GraphQL request is refused with 400 and a code", async () => {
  await using app = await startApp();
  for (
    const body of [
      "{",
      "",
      "null",
      "{}",
      `{ "query": null }`,
      `{ "query": 1 }`,
      `{ "query": ["{ __typename }"] }`,
      `{ "query": "{ __typename }", "variables": "none" }`,
      `{ "query": "{ __typename }", "variables": [] }`,
      `{ "query": "{ __typename }", "operationName": 1 }`,
      `{ "query": "query A { __typename } query B { __typename }" }`,
      `{ "query": "query A { __typename }", "operationName": "B" }`,
    ]
  ) {
    const reply = await post(app.url, body);
    assert.equal(reply.status, 400, body);
    assert.equal(reply.body.data, undefined, body);
    assert.match(reply.body.errors[0].extensions.code, /^[A-Z_]+$/, body);
    assert.notEqual(reply.body.errors[0].extensions.code, "INTERNAL_SERVER_ERROR", body);
  }
});

Deno.test("requests in one array are refused: limits count for one operation", async () => {
  await using app = await startApp();
  const { status, body } = await post(app.url, [{ query: "{ __typename }" }, { query: "{ __typename }" }]);
  assert.equal(status, 400);
  assert.match(body.errors[0].message, /batching/i);
});

Deno.test("a query may come by GET; a mutation may not, and is not executed", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const get = (parameters: Record<string, string>) =>
    fetchJson(`${app.url}?${new URLSearchParams(parameters)}`, {
      headers: { accept: NEW, authorization: `Bearer ${alice.token}` },
    });
  const read = await get({ query: NUMBERED, variables: `{ "size": 1 }` });
  assert.deepEqual([read.status, read.body.data], [200, { publicRooms: { nodes: [] } }]);
  const written = await get({ query: "mutation { logout { endedSessionId } }" });
  assert.equal(written.status, 405);
  assert.equal((await app.run("{ viewer { user { id } } }", {}, alice)).viewer.user.id, alice.id);
  for (const bad of [{}, { query: NUMBERED, variables: "no JSON" }, { query: NUMBERED, variables: "1" }]) {
    const { status, body } = await get(bad as Record<string, string>);
    assert.deepEqual([status, body.errors[0].extensions.code], [400, "BAD_REQUEST"], JSON.stringify(bad));
  }
});

Deno.test("other methods are refused with 405, and told which there are", async () => {
  await using app = await startApp();
  for (const method of ["PUT", "PATCH", "DELETE"]) {
    const response = await fetch(app.url, { method, headers: JSON_BODY, body: `{ "query": "{ __typename }" }` });
    await response.body?.cancel();
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, POST"], method);
  }
});

Deno.test("a body that is no JSON is refused with 415", async () => {
  await using app = await startApp();
  const bodies = { "text/plain": `{ "query": "{ __typename }" }`, "application/xml": "<query/>" };
  for (const [type, body] of Object.entries(bodies)) {
    const headers = { accept: NEW, "content-type": type };
    const { status } = await fetchJson(app.url, { method: "POST", headers, body });
    assert.equal(status, 415, type);
  }
});

/** A request of exactly so many bytes. */
function padded(bytes: number): Uint8Array<ArrayBuffer> {
  const request = (padding: string) => JSON.stringify({ query: "{ __typename }", extensions: { padding } });
  return new TextEncoder().encode(request("x".repeat(bytes - request("").length)));
}

Deno.test("a body over 256 KiB is refused with 413, whether or not it says so beforehand", async () => {
  await using app = await startApp();
  const send = async (bytes: number, isStreamed: boolean) => {
    const body = isStreamed ? new Blob([padded(bytes)]).stream() : padded(bytes);
    return (await fetchJson(app.url, { method: "POST", headers: { ...JSON_BODY, accept: NEW }, body })).status;
  };
  for (const isStreamed of [false, true]) {
    assert.equal(await send(256 * 1024, isStreamed), 200);
    assert.equal(await send(256 * 1024 + 1, isStreamed), 413);
    assert.equal(await send(1024 * 1024, isStreamed), 413);
  }
});

Deno.test("an unexpected error tells a client its number in the log, and nothing else", async () => {
  await using database = await createTestDatabase();
  await using app = await startApp({ ...database.config });
  await app.app.sql`alter table rooms rename to lost_rooms`;
  for (const { name, ask } of TRANSPORTS) {
    const { data, errors: [error, ...more] = [] } = await ask(app, "{ publicRooms { nodes { id } } }");
    assert.deepEqual([data, more], [{ publicRooms: null }, []], name);
    const { message, path, extensions: { requestId, ...extensions } } = error;
    assert.equal(message, "Cannot answer: something went wrong on the server");
    assert.deepEqual([path, extensions], [["publicRooms"], { code: "INTERNAL_SERVER_ERROR" }]);
    assert.match(requestId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.doesNotMatch(JSON.stringify(error), /relation|lost_rooms|exist|select|stack|\.ts/i);
  }
  const { status } = await app.post({ query: "{ publicRooms { nodes { id } } }" });
  assert.equal(status, 500);
  const { value } = (await app.app.metrics.internalErrors.get()).values[0] ?? {};
  assert.equal(value, 3);
});

Deno.test("without INTROSPECTION the schema is not told on any transport, but __typename is", async () => {
  await using app = await startApp({ INTROSPECTION: "off" });
  for (const { name, ask } of TRANSPORTS) {
    for (const query of ["{ __schema { types { name } } }", `{ __type(name: "Query") { name } }`]) {
      const { data, errors: [error] = [] } = await ask(app, query);
      assert.equal(data, undefined, `${query} over ${name}`);
      assert.match(error?.message, /introspection has been disabled/, name);
    }
    const { data, errors } = await ask(app, "{ __typename publicRooms { __typename } }");
    assert.equal(errors, undefined, name);
    assert.deepEqual(data, { __typename: "Query", publicRooms: { __typename: "RoomConnection" } });
  }
});
