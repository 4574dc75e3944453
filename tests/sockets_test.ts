/** The graphql-transport-ws protocol, frame by frame: what is answered, and what closes a socket.
 * https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { ROOM_EVENTS } from "./support/follow.ts";
import { HandmadeUpgrade, PROTOCOL, RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const INIT = { type: "connection_init" };
const ask = (id: string, query = "{ __typename }") => ({ id, type: "subscribe", payload: { query } });
/** A ping of so many bytes, which is answered as long as it may be sent. */
const ping = (bytes: number) => {
  const frame = (padding: string) => JSON.stringify({ type: "ping", payload: { padding } });
  return frame("x".repeat(bytes - frame("").length));
};

Deno.test("an upgrade needs the sub-protocol of GraphQL", async () => {
  await using app = await startApp();
  for (
    const [asked, status] of [
      [null, 400],
      ["graphql-ws", 400],
      ["graphql-transport-ws-2", 400],
      [PROTOCOL, 101],
      [`graphql-ws, ${PROTOCOL}`, 101],
    ] as const
  ) {
    using upgrade = await HandmadeUpgrade.send(app, asked === null ? {} : { "Sec-WebSocket-Protocol": asked });
    assert.deepEqual([upgrade.status, upgrade.protocol], [status, status === 101 ? PROTOCOL : null], `${asked}`);
  }
});

Deno.test("a page of a foreign origin gets no socket; a program, which has no origin, does", async () => {
  await using app = await startApp({ ALLOWED_ORIGINS: "https://chat.example,https://admin.example" });
  for (
    const [origin, status] of [
      ["https://chat.example", 101],
      ["https://admin.example", 101],
      [null, 101],
      ["https://evil.example", 403],
      ["https://chat.example.evil.example", 403],
      ["http://chat.example", 403],
      ["null", 403],
    ] as const
  ) {
    const headers = { "Sec-WebSocket-Protocol": PROTOCOL, ...(origin === null ? {} : { Origin: origin }) };
    using upgrade = await HandmadeUpgrade.send(app, headers);
    assert.equal(upgrade.status, status, `${origin}`);
  }
});

Deno.test("misuse of the protocol closes the socket with the code that the protocol gives it", async (t) => {
  await using app = await startApp();
  const cases: readonly (readonly [what: string, code: number, frames: readonly Any[]])[] = [
    ["an operation before connection_init", 4401, [ask("a")]],
    ["a second connection_init", 4429, [INIT, INIT]],
    ["no JSON", 4400, ["{"]],
    ["JSON that is no object", 4400, ["1"]],
    ["no type", 4400, [{}]],
    ["an unknown type", 4400, [{ type: "start" }]],
    ["an operation without a query", 4400, [{ id: "a", type: "subscribe", payload: {} }]],
    ["an operation without an id", 4400, [{ type: "subscribe", payload: { query: "{ __typename }" } }]],
    ["an operation with an empty id", 4400, [ask("")]],
    ["a type that only servers send", 4400, [{ type: "connection_ack" }]],
    ["a result, which only servers send", 4400, [{ id: "a", type: "next", payload: {} }]],
    ["a binary frame", 1003, [new TextEncoder().encode(JSON.stringify(INIT))]],
    ["a frame over 64 KiB", 1009, [ping(64 * 1024 + 1)]],
    ["a frame over 64 KiB in bytes, not in characters", 1009, [`"${"€".repeat(30_000)}"`]],
  ];
  for (const [what, code, frames] of cases) {
    await t.step(`${what}: ${code}`, async () => {
      await using socket = await RawSocket.open(app);
      for (const frame of frames) socket.send(frame);
      assert.equal((await socket.closed).code, code);
    });
  }
});

Deno.test("an id that a stream still has cannot be used again: 4409", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  socket.subscribe("stream", ROOM_EVENTS, { roomId: room.id });
  await socket.next("stream");
  socket.send(ask("stream"));
  assert.equal((await socket.closedUnless("next")).code, 4409);
});

Deno.test("the reason of a close may quote the client without growing too long for its frame", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  const id = "é".repeat(200);
  socket.subscribe(id, ROOM_EVENTS, { roomId: room.id });
  await socket.next(id);
  socket.send(ask(id));
  assert.equal((await socket.closedUnless("next")).code, 4409);
});

Deno.test("a frame of 64 KiB is read", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.open(app);
  socket.send(ping(64 * 1024));
  assert.equal((await socket.next("pong")).type, "pong");
});

Deno.test("a ping is answered, before and after connection_init, with what it carried", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.open(app);
  socket.send({ type: "ping" });
  assert.deepEqual(await socket.next("pong"), { type: "pong" });
  socket.send(INIT);
  assert.deepEqual(await socket.next("connection_ack"), { type: "connection_ack" });
  socket.send({ type: "ping", payload: { sentAt: 1 } });
  assert.deepEqual(await socket.next("pong"), { type: "pong", payload: { sentAt: 1 } });
  socket.send({ type: "pong" });
  assert.deepEqual(await socket.ask("{ __typename }"), { data: { __typename: "Query" } });
});

Deno.test("queries and mutations run over a socket, many at a time, each under its own id", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  const send = `mutation ($input: SendMessageInput!) {
    sendMessage(input: $input) { message { content } errors { code } }
  }`;
  const contents = Array.from({ length: 20 }, (_, index) => `Message ${index}`);
  const sent = await Promise.all(contents.map((content) => socket.ask(send, { input: { roomId: room.id, content } })));
  assert.deepEqual(sent.map(({ data }) => data.sendMessage.message?.content), contents);
  const query = "query ($id: ID!) { room(id: $id) { messages(first: 100) { nodes { content } } } }";
  const { data } = await socket.ask(query, { id: room.id });
  assert.deepEqual(data.room.messages.nodes.map(({ content }: Any) => content).sort(), contents.toSorted());
});

Deno.test("a document with several operations runs the one that is named", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.connect(app);
  const query = "query A { a: __typename } query B { b: __typename }";
  socket.send({ id: "1", type: "subscribe", payload: { query, operationName: "B" } });
  assert.deepEqual((await socket.next("1")).payload, { data: { b: "Query" } });
  assert.deepEqual(codesOf(await socket.ask(query)), [["OPERATION_RESOLUTION_FAILURE"]]);
});

Deno.test("an operation that is refused ends alone: a stream on the same socket goes on", async (t) => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  socket.subscribe("stream", ROOM_EVENTS, { roomId: room.id });
  await socket.next("stream");
  const cases: readonly (readonly [what: string, query: string, variables: object, code: string])[] = [
    ["a syntax error", "{ viewer { ", {}, "GRAPHQL_PARSE_FAILED"],
    ["an unknown field", "subscription { nothing }", {}, "GRAPHQL_VALIDATION_FAILED"],
    ["a missing variable", ROOM_EVENTS, {}, "BAD_USER_INPUT"],
    ["a bad cursor", ROOM_EVENTS, { roomId: room.id, after: "nonsense" }, "BAD_USER_INPUT"],
    ["an unknown room", ROOM_EVENTS, { roomId: "room_none" }, "NOT_FOUND"],
    [
      "two streams in one",
      "subscription { a: roomEvents(roomId: 1) { cursor } b: roomEvents(roomId: 1) { cursor } }",
      {},
      "GRAPHQL_VALIDATION_FAILED",
    ],
  ];
  for (const [what, query, variables, code] of cases) {
    await t.step(what, async () => {
      const { data, errors } = await socket.ask(query, variables);
      assert.equal(data ?? null, null);
      assert.deepEqual(errors?.map(({ extensions }) => extensions.code), [code], JSON.stringify(errors));
      await app.send(alice, room, what);
      const { payload } = await socket.next("stream");
      assert.equal(payload.data.roomEvents.events[0].message.content, what);
    });
  }
});

Deno.test("an unsubscribed stream stops, others on the same socket go on, and its id is free again", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  for (const id of ["one", "two"]) {
    socket.subscribe(id, ROOM_EVENTS, { roomId: room.id });
    await socket.next(id);
  }
  socket.send({ id: "one", type: "complete" });
  socket.send({ type: "ping" });
  await socket.next("pong"); // frames are handled in order, so the stream has ended
  await app.send(alice, room, "Hello");
  assert.equal((await socket.next("two")).payload.data.roomEvents.events[0].message.content, "Hello");
  assert.deepEqual(socket.unread, []);
  socket.subscribe("one", ROOM_EVENTS, { roomId: room.id });
  assert.deepEqual((await socket.next("one")).payload.data.roomEvents.events, []);
});

Deno.test("unsubscribing from what has ended, or never began, is no misuse", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.connect(app);
  socket.send({ id: "never", type: "complete" });
  assert.deepEqual(await socket.ask("{ __typename }"), { data: { __typename: "Query" } });
});

Deno.test("of too many subscriptions on one socket only the last is refused", async () => {
  await using app = await startApp({ MAX_SUBSCRIPTIONS_PER_CONNECTION: "2" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  const follow = (id: string) => socket.subscribe(id, ROOM_EVENTS, { roomId: room.id });
  for (const id of ["one", "two", "three"]) follow(id);
  const refused = await socket.next("three");
  assert.equal(refused.type, "error");
  assert.deepEqual(codesOf({ errors: refused.payload }), [["LIMIT_EXCEEDED", 2]]);
  for (const id of ["one", "two"]) await socket.next(id);
  await app.send(alice, room, "Hello");
  for (const id of ["one", "two"]) {
    assert.equal((await socket.next(id)).payload.data.roomEvents.events[0].message.content, "Hello");
  }
  socket.send({ id: "one", type: "complete" });
  follow("three");
  assert.equal((await socket.next("three")).type, "next");
});
