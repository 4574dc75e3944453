/** Promises of read receipts: who has read what. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { countExecutions } from "./support/counters.ts";
import { connect } from "./support/follow.ts";
import { done } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";

const markRead = (app: TestApp, as: Person, { id: roomId }: TestRoom, messageId: string | null = null) =>
  done(app, "markRoomRead", { roomId, messageId }, as, "member { lastReadAt lastReadMessage { content } }");

Deno.test("a message says who has read it: members of now, other than its author, in exact pages", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const others = await Promise.all(["dave", "erin", "fred"].map((name) => app.signUp(name)));
  const [dave, erin, fred] = others as [Person, Person, Person];
  const room = await app.makeRoom(alice, bob, carol, ...others);
  const one = await app.send(alice, room, "one");
  const two = await app.send(bob, room, "two");
  const three = await app.send(alice, room, "three");
  const counts = async (as = alice) => {
    const { room: { messages } } = await app.run(
      "query ($id: ID!) { room(id: $id) { messages { nodes { readByCount readBy { nodes { user { id } } } } } } }",
      room,
      as,
    );
    for (const { readByCount, readBy } of messages.nodes) assert.equal(readBy.nodes.length, readByCount);
    return messages.nodes.map(({ readByCount }: Any) => readByCount);
  };
  assert.deepEqual(await counts(), [0, 0, 0], "to be in the room is not to read");
  await Promise.all([
    markRead(app, bob, room, one.id),
    markRead(app, carol, room, two.id),
    markRead(app, dave, room, three.id),
    markRead(app, erin, room, three.id),
  ]);
  assert.deepEqual(await counts(), [4, 3, 2]);
  await Promise.all([markRead(app, alice, room), markRead(app, bob, room)]);
  assert.deepEqual(await counts(), [4, 4, 3], "authors do not count as readers of their own");
  assert.deepEqual(await counts(fred), [4, 4, 3]);

  const { room: { members } } = await app.run(
    "query ($id: ID!) { room(id: $id) { members { nodes { id user { id } lastReadAt lastReadMessage { id } } } } }",
    room,
    fred,
  );
  const memberOf = (person: Person) => members.nodes.find(({ user }: Any) => user.id === person.id);
  assert.deepEqual(
    [alice, bob, carol, dave, erin, fred].map((person) => memberOf(person).lastReadMessage?.id ?? null),
    [three.id, three.id, two.id, three.id, three.id, null],
  );
  assert.deepEqual([memberOf(fred).lastReadAt, typeof memberOf(bob).lastReadAt], [null, "string"]);
  const readers = async (page: PageVariables) => {
    const document =
      `query ($id: ID!, ${PAGE_VARIABLES}) { node(id: $id) { ... on Message { readBy(${PAGE_ARGS}) { ${PAGE} } } } }`;
    return (await app.run(document, { id: two.id, ...page }, fred)).node.readBy;
  };
  const expected = [alice, carol, dave, erin].map((person) => memberOf(person).id).toSorted();
  for (const size of [1, 2, 4, 5]) await assertPages(readers, expected, size);

  await done(app, "leaveRoom", { roomId: room.id }, dave);
  assert.deepEqual(await counts(), [3, 3, 2], "who is gone does not count");
  await done(app, "joinRoom", { roomId: room.id }, dave);
  assert.deepEqual(await counts(), [3, 3, 2], "who comes back has read nothing yet");
  assert.equal((await markRead(app, dave, room, one.id)).member.lastReadMessage, null, "and the past is not unread");
  assert.deepEqual(await counts(), [3, 3, 2]);
  const four = await app.send(alice, room, "four");
  await markRead(app, dave, room, four.id);
  assert.deepEqual(await counts(), [4, 4, 3, 1]);
});

const RECEIPTS = `subscription ($roomId: ID!) {
  roomEvents(roomId: $roomId) {
    events {
      ... on MessageSentEvent { message { content readByCount readBy { nodes { id } } } }
      ... on MemberReadEvent { member { user { id } lastReadAt lastReadMessage { content readByCount } } }
    }
  }
}`;

Deno.test("read receipts are live, and made once for all who follow", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await using sockets = new AsyncDisposableStack();
  const streams: AsyncIterableIterator<Any>[] = [];
  for (const person of [alice, bob]) {
    const client = connect(app, person);
    sockets.defer(async () => await client.dispose());
    const stream = client.iterate<Any>({ query: RECEIPTS, variables: { roomId: room.id } });
    assert.deepEqual((await stream.next()).value.data.roomEvents.events, [], "live from here");
    streams.push(stream);
  }
  const next = async () =>
    await Promise.all(streams.map(async (stream) => (await stream.next()).value.data.roomEvents.events));
  const before = await countExecutions(app);
  await app.send(alice, room, "Hello");
  for (const events of await next()) {
    assert.deepEqual(events, [{ message: { content: "Hello", readByCount: 0, readBy: { nodes: [] } } }]);
  }
  const { member } = await markRead(app, bob, room);
  for (const events of await next()) {
    const { lastReadAt } = member;
    const lastReadMessage = { content: "Hello", readByCount: 1 };
    assert.deepEqual(events, [{ member: { user: { id: bob.id }, lastReadAt, lastReadMessage } }]);
  }
  assert.equal(await countExecutions(app) - before, 2);
});
