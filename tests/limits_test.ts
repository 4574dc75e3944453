/** How large an operation may be, alike on every transport, and how often some may be run. */
import { strict as assert } from "node:assert";
import { getIntrospectionQuery } from "graphql";
import { createLimits, LIMITS } from "../src/platform/limits.ts";
import { createLog } from "../src/platform/log.ts";
import { openRedis } from "../src/platform/redis.ts";
import { type Any, startApp } from "./support/app.ts";
import { TEST_REDIS_URL } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf, TRANSPORTS } from "./support/transports.ts";
import { Wire } from "./support/wires.ts";

interface Case {
  readonly what: string;
  readonly query: string;
  readonly variables?: object;
  /** Codes of the errors, with the limit that each names; none: it is answered. */
  readonly errors: readonly (readonly [code: string, limit?: number])[];
}

const deep = (innermost: string) =>
  `{ viewer { rooms(first: 1) { nodes { members(first: 1) { nodes { room { members(first: 1) { nodes { room { ${innermost} } } } } } } } } } }`;
const long = (words: number) => `{ viewer { rooms(kinds: [${"PUBLIC ".repeat(words)}]) { nodes { id } } } }`;
const aliases = (count: number) =>
  `{ ${Array.from({ length: count }, (_, index) => `a${index}: __typename`).join(" ")} }`;
const page = (args: string) => `{ publicRooms(${args}) { nodes { id } } }`;
const MEMBERS = `nodes { members(first: $members) { nodes { role user { id username } } } }`;
const WIDE = `query ($rooms: Int, $members: Int) { viewer { rooms(first: $rooms) { ${MEMBERS} } } }`;

const CASES: readonly Case[] = [
  { what: "10 levels", query: deep("id"), errors: [] },
  { what: "11 levels", query: deep("creator { id }"), errors: [["LIMIT_EXCEEDED", 10]] },
  {
    what: "11 levels in fragments",
    query: `{ ...Outer } fragment Outer on Query ${deep("...Inner")} fragment Inner on Room { creator { id } }`,
    errors: [["LIMIT_EXCEEDED", 10]],
  },
  { what: "2,000 tokens", query: long(1_982), errors: [] },
  { what: "2,001 tokens", query: long(1_983), errors: [["LIMIT_EXCEEDED", 2_000]] },
  { what: "30 aliases", query: aliases(30), errors: [] },
  { what: "31 aliases", query: aliases(31), errors: [["LIMIT_EXCEEDED", 30]] },
  { what: "a page of 100", query: page("first: 100"), errors: [] },
  { what: "a page of none", query: page("first: 0"), errors: [] },
  { what: "a page of 101", query: page("first: 101"), errors: [["BAD_USER_INPUT", 100]] },
  { what: "a page of 1,000,000", query: page("first: 1000000"), errors: [["BAD_USER_INPUT", 100]] },
  { what: "the last 1,000,000", query: page("last: 1000000"), errors: [["BAD_USER_INPUT", 100]] },
  { what: "a page of -1", query: page("first: -1"), errors: [["BAD_USER_INPUT"]] },
  { what: "the last -1", query: page("last: -1"), errors: [["BAD_USER_INPUT"]] },
  { what: "pages of 1 in pages of 1", query: WIDE, variables: { rooms: 1, members: 1 }, errors: [] },
  {
    what: "the same document with pages of 100 in pages of 100",
    query: WIDE,
    variables: { rooms: 100, members: 100 },
    errors: [["LIMIT_EXCEEDED", 20_000]],
  },
  {
    what: "2,000 texts, which weigh more than 2,000 numbers",
    query: `{ viewer { rooms(first: 20) { nodes { messages(last: 100) { nodes { content } } } } } }`,
    errors: [["LIMIT_EXCEEDED", 20_000]],
  },
  { what: "the same document with pages of 1 again", query: WIDE, variables: { rooms: 1, members: 1 }, errors: [] },
  {
    what: "pages of 100 by the default of a variable",
    query: WIDE.replaceAll(": Int", ": Int = 100"),
    errors: [["LIMIT_EXCEEDED", 20_000]],
  },
  {
    what: "100 objects by id, each with 50 in 50",
    query:
      `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Viewer { rooms { nodes { members { nodes { id } } } } } } }`,
    variables: { ids: Array(100).fill("viewer_x") },
    errors: [["LIMIT_EXCEEDED", 20_000]],
  },
  { what: "introspection, deeper than 10 levels", query: getIntrospectionQuery(), errors: [] },
  {
    what: "introspection in circles",
    query: `{ __schema { types ${"{ fields { type ".repeat(8)} { name } ${"} } ".repeat(8)} } }`,
    errors: [["GRAPHQL_VALIDATION_FAILED"]],
  },
];

Deno.test("an operation that is too large is refused, over HTTP and over a WebSocket alike", async (t) => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  for (const { name, ask } of TRANSPORTS) {
    for (const { what, query, variables, errors } of CASES) {
      await t.step(`${what} over ${name}`, async () => {
        const answer = await ask(app, query, variables, alice);
        assert.deepEqual(codesOf(answer), errors, JSON.stringify(answer.errors));
      });
    }
  }
});

Deno.test("a refused operation reaches no resolver", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const query = `mutation ($input: UpdateProfileInput!) {
    updateProfile(input: $input) { user { ${Array.from({ length: 31 }, (_, index) => `a${index}: id`).join(" ")} } }
  }`;
  for (const { name, ask } of TRANSPORTS) {
    assert.deepEqual(codesOf(await ask(app, query, { input: { bio: "changed" } }, alice)), [["LIMIT_EXCEEDED", 30]]);
    const { viewer } = await app.run("{ viewer { user { bio } } }", {}, alice);
    assert.equal(viewer.user.bio, null, name);
  }
});

Deno.test("a subscription is held to the same limits as a query", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const events =
    `events { room { members(first: $size) { nodes { room { members(first: $size) { nodes { id } } } } } } }`;
  const query = `subscription ($roomId: ID!, $size: Int) { roomEvents(roomId: $roomId) { ${events} } }`;
  await using socket = await RawSocket.signIn(app, alice);
  const refused = await socket.ask(query, { roomId: room.id, size: 100 });
  assert.deepEqual(codesOf(refused), [["LIMIT_EXCEEDED", 20_000]]);
  socket.subscribe("small", query, { roomId: room.id, size: 1 });
  assert.deepEqual((await socket.next("small")).payload, { data: { roomEvents: { events: [] } } });
});

const SEND = `mutation ($input: SendMessageInput!) {
  sendMessage(input: $input) {
    message { id }
    errors { __typename code ... on RateLimitedError { retryAfterMs } }
  }
}`;

Deno.test("one who sends too fast is told when to go on; others, and other rooms, are not held up", async () => {
  await using app = await startApp({ RATE_LIMITS: "on" });
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const [room, other] = [await app.makeRoom(alice, bob), await app.makeRoom(alice)];
  const input = { roomId: room.id, content: "Hello" };
  const sent = await Promise.all(Array.from({ length: 31 }, () => app.run(SEND, { input }, alice)));
  const [refused, ...more] = sent.filter(({ sendMessage }) => sendMessage.message === null);
  assert.equal(more.length, 0);
  const [{ __typename, code, retryAfterMs }]: Any[] = refused.sendMessage.errors;
  assert.deepEqual([__typename, code], ["RateLimitedError", "RATE_LIMITED"]);
  assert.ok(retryAfterMs > 0 && retryAfterMs <= 10_000, `${retryAfterMs} ms`);
  await app.send(bob, room, "I may");
  await app.send(alice, other, "Here I may too");
});

Deno.test("one who subscribes too often is told when to go on", async () => {
  await using app = await startApp({ RATE_LIMITS: "on" });
  const alice = await app.signUp("alice");
  await using socket = await RawSocket.signIn(app, alice);
  const subscribe = () => socket.ask(`subscription { roomEvents(roomId: "none") { cursor } }`);
  for (let tries = 0; tries < LIMITS.subscribe.points; tries++) {
    assert.deepEqual(codesOf(await subscribe()), [["NOT_FOUND"]]);
  }
  const { errors: [{ extensions }] = [] } = await subscribe();
  assert.equal(extensions.code, "RATE_LIMITED");
  assert.ok(extensions.retryAfterMs > 0 && extensions.retryAfterMs <= 60_000, `${extensions.retryAfterMs} ms`);
});

Deno.test({
  name: "nodes count together again when the connection to Redis was forgotten on its way",
  ignore: TEST_REDIS_URL === null,
  async fn() {
    const url = new URL(TEST_REDIS_URL ?? "");
    const log = createLog("error");
    await using direct = openRedis(url.href, { name: "test", log });
    await using wire = await Wire.to(Number(url.port || "6379"));
    url.port = String(wire.port);
    await using wired = openRedis(url.href, { name: "limits", log, commandMs: 250 });
    const { client } = wired;
    const prefix = `test_${crypto.randomUUID()}`;
    using limits = createLimits(true, { client, prefix, isThere: () => client.status === "ready" });
    await eventually("Redis", () => [client, direct.client].every(({ status }) => status === "ready"));
    const count = async (key: string) => await direct.client.get(`${prefix}:limit:poll:${key}`);
    await limits.take("poll", "before");
    assert.equal(await count("before"), "1");
    wire.forget();
    await eventually("a count that all nodes see", async () => {
      await limits.take("poll", "after");
      return await count("after") !== null;
    });
  },
});
