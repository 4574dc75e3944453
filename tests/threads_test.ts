/** Promises of replies: quotes in any place of the room, and threads that leave the main timeline alone. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { countExecutions } from "./support/counters.ts";
import { connect } from "./support/follow.ts";
import { done, refusal } from "./support/mutations.ts";
import { assertPages, idsOf, PAGE, PAGE_ARGS, PAGE_VARIABLES } from "./support/pages.ts";
import { changeMember, logSince } from "./support/rooms.ts";

const REPLY =
  "message { id replyTo { id content } threadRoot { id replyCount lastReplyAt } createdAt } messageEdge { cursor }";

async function reply(app: TestApp, as: Person, room: TestRoom, input: object): Promise<Any> {
  const payload = await done(app, "sendMessage", { roomId: room.id, content: "reply", ...input }, as, REPLY);
  return { ...payload.message, cursor: payload.messageEdge.cursor };
}

Deno.test("a thread is a list of its own: the main timeline neither shows its replies nor changes", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const root = await app.send(alice, room, "root");
  const last = await app.send(bob, room, "something else");
  const replies: Any[] = [];
  for (let n = 0; n < 7; n++) replies.push(await reply(app, n % 2 ? alice : bob, room, { threadRootId: root.id }));
  const newest = replies[6];
  assert.deepEqual(newest.threadRoot, { id: root.id, replyCount: 7, lastReplyAt: newest.createdAt });

  const read = async (args: object = {}) =>
    (await app.run(
      `query ($id: ID!, ${PAGE_VARIABLES}) { node(id: $id) { ... on Message { replies(${PAGE_ARGS}) { ${PAGE} } } } }`,
      { id: root.id, ...args },
      alice,
    )).node.replies;
  const ids = replies.map(({ id }) => id);
  for (const size of [1, 2, 6, 7, 8]) await assertPages(read, ids, size);
  const page = await read();
  assert.deepEqual(idsOf(page), ids);
  assert.deepEqual(
    page.edges.map(({ cursor }: Any) => cursor),
    replies.map(({ cursor }) => cursor),
    "edges stay the same",
  );

  const screen = `query ($id: ID!, $around: ID) {
    room(id: $id) { lastMessage { id } messages(around: $around) { nodes { id replyCount lastReplyAt threadRoot { id } } } }
  }`;
  const { room: seen } = await app.run(screen, { id: room.id }, bob);
  assert.equal(seen.lastMessage.id, last.id);
  const quiet = { replyCount: 0, lastReplyAt: null, threadRoot: null };
  assert.deepEqual(seen.messages.nodes, [
    { ...quiet, id: root.id, replyCount: 7, lastReplyAt: newest.createdAt },
    { ...quiet, id: last.id },
  ]);
  const { body } = await app.post({ query: screen, variables: { id: room.id, around: newest.id } }, bob);
  assert.equal(body.errors?.[0].extensions.code, "NOT_FOUND");

  await done(app, "deleteMessage", { messageId: newest.id }, bob);
  await done(app, "deleteMessage", { messageId: root.id }, alice);
  assert.deepEqual(idsOf(await read()), ids, "a tombstone keeps its place");
  const late = await reply(app, bob, room, { threadRootId: root.id, replyToId: newest.id });
  assert.deepEqual([late.threadRoot.replyCount, late.replyTo], [8, { id: newest.id, content: null }]);
});

Deno.test("a reply arrives live with its quote and its thread as they are, executed once for all", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const root = await app.send(alice, room, "root");
  const query = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events { ... on MessageSentEvent {
    messageEdge { cursor node { id replyTo { content } threadRoot { id replyCount replies(last: 1) { nodes { id } } } } }
  } } } }`;
  await using clients = new AsyncDisposableStack();
  const streams: AsyncIterator<Any>[] = [];
  for (const person of [alice, bob]) {
    const client = connect(app, person);
    clients.defer(async () => await client.dispose());
    const stream = client.iterate<Any>({ query, variables: { roomId: room.id } });
    streams.push(stream);
    await stream.next();
  }
  const before = await countExecutions(app);
  const sent = await reply(app, bob, room, { threadRootId: root.id, replyToId: root.id });
  const node = {
    id: sent.id,
    replyTo: { content: "root" },
    threadRoot: { id: root.id, replyCount: 1, replies: { nodes: [{ id: sent.id }] } },
  };
  for (const stream of streams) {
    const { value } = await stream.next();
    assert.deepEqual(value.data.roomEvents.events, [{ messageEdge: { cursor: sent.cursor, node } }]);
  }
  assert.equal(await countExecutions(app), before + 1);
});

Deno.test("what may not be quoted is refused, and a room that one cannot see is not given away", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const root = await app.send(alice, room, "root");
  const answer = await reply(app, bob, room, { threadRootId: root.id });
  const open = await app.send(alice, await app.makeRoom(alice), "elsewhere");
  const { room: hidden } = await done(app, "createRoom", { kind: "PRIVATE", name: "x" }, alice, "room { id slug }");
  const secret = await app.send(alice, hidden, "secret");
  const before = await logSince(app, room);
  for (const field of ["replyToId", "threadRootId"]) {
    for (const id of ["garbage", room.id, encodeId("message", newId()), open.id, secret.id]) {
      const input = { roomId: room.id, content: "x", [field]: id };
      assert.deepEqual(await refusal(app, "sendMessage", input, bob), ["NOT_FOUND", field], id);
    }
  }
  const input = { roomId: room.id, content: "x", threadRootId: answer.id };
  assert.deepEqual(await refusal(app, "sendMessage", input, bob), ["INVALID_INPUT", "threadRootId"]);
  const muted = { person: bob, room, mutedUntil: new Date(Date.now() + 60_000) };
  await changeMember(app, muted);
  assert.deepEqual(await refusal(app, "sendMessage", { roomId: room.id, content: "x" }, bob), ["FORBIDDEN", "roomId"]);
  await changeMember(app, { ...muted, mutedUntil: new Date(Date.now() - 1000) });
  assert.deepEqual(await logSince(app, room), before, "no refusal burns a number");

  const first = { roomId: room.id, content: "x", clientMessageId: "mine", replyToId: root.id };
  const sent = await reply(app, bob, room, first);
  const mismatch = ["IDEMPOTENCY_MISMATCH", "clientMessageId"];
  for (const other of [{ replyToId: answer.id }, { replyToId: null }, { threadRootId: root.id }]) {
    assert.deepEqual(await refusal(app, "sendMessage", { ...first, ...other }, bob), mismatch);
  }
  await changeMember(app, muted);
  assert.equal(
    (await reply(app, bob, room, first)).id,
    sent.id,
    "a retry is answered even when nothing new may be sent",
  );
});
