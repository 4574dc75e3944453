/** Promises of a room's past: every page is exact, and what comes after it can be followed without a gap. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { RoomFollower } from "./support/follow.ts";
import { done } from "./support/mutations.ts";
import { assertPage, assertPages, idsOf, PAGE, PAGE_ARGS, PAGE_VARIABLES } from "./support/pages.ts";

const HISTORY = `query ($id: ID!, $around: ID, ${PAGE_VARIABLES}) {
  room(id: $id) { messages(around: $around, ${PAGE_ARGS}) { ${PAGE} } }
}`;

/** Reads pages of the room's messages as this person. */
function historyOf(app: TestApp, room: TestRoom, as: Person) {
  return async (args: object = {}) => (await app.run(HISTORY, { id: room.id, ...args }, as)).room.messages;
}

/** Sends messages with other events in between, so that their numbers have holes. */
async function talk(app: TestApp, room: TestRoom, { by, count }: { by: Person; count: number }): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const { id: messageId } = await app.send(by, room, `message ${index}`);
    ids.push(messageId);
    if (index % 3 === 0) await done(app, "editMessage", { messageId, content: "edited" }, by);
    if (index % 5 === 0) await done(app, "deleteMessage", { messageId }, by);
  }
  return ids;
}

Deno.test("history walks in pages of every size, in both directions, exactly, tombstones included", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const [room, other] = [await app.makeRoom(alice), await app.makeRoom(alice)];
  await app.send(alice, other, "elsewhere");
  const read = historyOf(app, room, alice);
  await assertPages(read, [], 2);
  const ids = await talk(app, room, { by: alice, count: 13 });
  for (const size of [1, 2, 3, 5, 12, 13, 14, 100]) await assertPages(read, ids, size);
  const { edges } = await read();
  const cursor = (index: number) => edges[index].cursor;
  assertPage(await read({ first: 0 }), [], { hasPreviousPage: false, hasNextPage: true });
  assertPage(await read({ last: 0 }), [], { hasPreviousPage: true, hasNextPage: false });
  const between = { after: cursor(2), before: cursor(9) };
  const inside = { hasPreviousPage: true, hasNextPage: true };
  assertPage(await read({ ...between, first: 3 }), ids.slice(3, 6), inside);
  assertPage(await read({ ...between, last: 3 }), ids.slice(6, 9), inside);
  assertPage(await read({ ...between, first: 50 }), ids.slice(3, 9), inside);
  assertPage(await read({ after: cursor(12), first: 5 }), [], { hasPreviousPage: true, hasNextPage: false });
  assertPage(await read({ before: cursor(0), last: 5 }), [], { hasPreviousPage: false, hasNextPage: true });
});

Deno.test("without arguments a page has the newest 50, oldest first", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const ids: string[] = [];
  for (let index = 0; index < 52; index++) ids.push((await app.send(alice, room, `${index}`)).id);
  const read = historyOf(app, room, alice);
  const newest = await read();
  assertPage(newest, ids.slice(2), { hasPreviousPage: true, hasNextPage: false });
  assert.deepEqual(await read({ first: null, after: null, last: null, before: null }), newest);
  const rest = await read({ before: newest.pageInfo.startCursor });
  assertPage(rest, ids.slice(0, 2), { hasPreviousPage: false, hasNextPage: true });
  const newer = await read({ after: rest.pageInfo.startCursor });
  assertPage(newer, ids.slice(1, 51), { hasPreviousPage: true, hasNextPage: true });
});

Deno.test("a page around a message has as many before and after as asked for", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const ids = await talk(app, room, { by: alice, count: 12 });
  const read = historyOf(app, room, alice);
  const around = (index: number, sizes: object = {}) => read({ around: ids[index], ...sizes });
  const sizes = { last: 3, first: 2 };
  assertPage(await around(5, sizes), ids.slice(3, 8), { hasPreviousPage: true, hasNextPage: true });
  assertPage(await around(2, sizes), ids.slice(0, 5), { hasPreviousPage: false, hasNextPage: true });
  assertPage(await around(3, sizes), ids.slice(1, 6), { hasPreviousPage: true, hasNextPage: true });
  assertPage(await around(9, sizes), ids.slice(7, 12), { hasPreviousPage: true, hasNextPage: false });
  assertPage(await around(8, sizes), ids.slice(6, 11), { hasPreviousPage: true, hasNextPage: true });
  assertPage(await around(0, sizes), ids.slice(0, 3), { hasPreviousPage: false, hasNextPage: true });
  assertPage(await around(11, sizes), ids.slice(9, 12), { hasPreviousPage: true, hasNextPage: false });
  assertPage(await around(6), ids, { hasPreviousPage: false, hasNextPage: false });
  assertPage(await around(5, { last: 1, first: 0 }), ids.slice(5, 6), { hasPreviousPage: true, hasNextPage: true });
  const page = await around(5, sizes);
  const newer = await read({ first: 2, after: page.pageInfo.endCursor });
  assert.deepEqual(idsOf(newer), ids.slice(8, 10), "its cursors are those of the whole history");
  assert.deepEqual(await read({ around: null, last: 2 }), await read({ last: 2 }), "null is as if left out");
});

Deno.test("a page that cannot be read is refused, with the reason, and the rest of the answer comes", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const [room, other] = [await app.makeRoom(alice), await app.makeRoom(alice)];
  const [message, foreign] = [await app.send(alice, room, "here"), await app.send(alice, other, "there")];
  const epoch = message.cursor.split(".")[0];
  const refused: [args: object, code: string][] = [
    [{ first: 1, last: 1 }, "BAD_USER_INPUT"],
    [{ first: -1 }, "BAD_USER_INPUT"],
    [{ last: -1 }, "BAD_USER_INPUT"],
    [{ first: 101 }, "BAD_USER_INPUT"],
    [{ last: 101 }, "BAD_USER_INPUT"],
    [{ first: 1, after: foreign.cursor }, "BAD_USER_INPUT"],
    [{ last: 1, before: foreign.cursor }, "BAD_USER_INPUT"],
    [{ before: "" }, "BAD_USER_INPUT"],
    [{ after: "garbage" }, "BAD_USER_INPUT"],
    [{ after: `${epoch}.` }, "BAD_USER_INPUT"],
    [{ after: `${epoch}.-1` }, "BAD_USER_INPUT"],
    [{ after: `${epoch}.1e3` }, "BAD_USER_INPUT"],
    [{ after: `${epoch}.99999999999999999999` }, "BAD_USER_INPUT"],
    [{ after: `${epoch}.1\0` }, "BAD_USER_INPUT"],
    [{ around: message.id, after: message.cursor }, "BAD_USER_INPUT"],
    [{ around: message.id, before: message.cursor }, "BAD_USER_INPUT"],
    [{ around: message.id, last: 101 }, "BAD_USER_INPUT"],
    [{ around: message.id, first: -1 }, "BAD_USER_INPUT"],
    [{ around: foreign.id }, "NOT_FOUND"],
    [{ around: "garbage" }, "NOT_FOUND"],
    [{ around: "" }, "NOT_FOUND"],
    [{ around: room.id }, "NOT_FOUND"],
  ];
  const query = HISTORY.replace("room(id: $id) {", "room(id: $id) { id");
  for (const [args, code] of refused) {
    const { body } = await app.post({ query, variables: { id: room.id, ...args } }, alice);
    const [error, ...more] = body.errors ?? [];
    assert.equal(error?.extensions.code, code, JSON.stringify(args));
    assert.deepEqual([error.path, more], [["room", "messages"], []]);
    assert.deepEqual(body.data.room, { id: room.id, messages: null });
  }
});

Deno.test("what is read with an eventCursor, and what follows after it, is everything exactly once, however busy the room", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const query =
    `query ($id: ID!) { room(id: $id) { eventCursor messages(last: 100) { edges { cursor node { id } } } } }`;
  const write = async (person: Person) => {
    const ids: string[] = [];
    for (let index = 0; index < 12; index++) ids.push((await app.send(person, room, `${index}`)).id);
    return ids;
  };
  const writing = [write(alice), write(bob)];
  const screens: Any[] = [];
  for (let read = 0; read < 6; read++) screens.push((await app.run(query, { id: room.id }, bob)).room);
  const ids = (await Promise.all(writing)).flat();
  const { id: end } = await app.send(alice, room, "the end");
  for (const { eventCursor, messages } of screens) {
    await using follower = new RoomFollower(app, bob, room, eventCursor);
    const followed: string[] = [];
    while (followed.at(-1) !== end) followed.push(...(await follower.next()).events.map(({ message }) => message.id));
    assert.equal(new Set(followed).size, followed.length);
    const before = messages.edges.filter(({ cursor }: Any) => seqIn(cursor) <= seqIn(eventCursor));
    assert.deepEqual([...before.map(({ node }: Any) => node.id), ...followed].toSorted(), [...ids, end].toSorted());
  }
});

function seqIn(cursor: string): number {
  return Number(cursor.split(".")[1]);
}
