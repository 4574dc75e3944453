/** Promises of pins: who may, how many, and in which order. */
import { strict as assert } from "node:assert";
import { encodeId, findId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { connect } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { assertPages, idsOf, PAGE, PAGE_ARGS, PAGE_VARIABLES } from "./support/pages.ts";
import { collide, logSince, makeDirectRoom } from "./support/rooms.ts";

const PINNED = "message { id pinnedAt pinnedBy { id } } messageEdge { cursor node { id } }";

Deno.test("pinned messages are listed last pinned first, for all to see at once, until they are unpinned or deleted", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const ids: string[] = [];
  for (const content of ["one", "two", "three"]) ids.push((await app.send(bob, room, content)).id);
  const query = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events {
    __typename
    ... on MessagePinnedEvent { messageEdge { cursor node { id pinnedAt } } }
    ... on MessageUnpinnedEvent { message { id pinnedAt pinnedBy { id } } }
  } } }`;
  const client = connect(app, bob);
  await using _closing = { [Symbol.asyncDispose]: async () => await client.dispose() };
  const stream = client.iterate<Any>({ query, variables: { roomId: room.id } });
  const nextEvent = async () => (await stream.next()).value.data.roomEvents.events[0];
  await stream.next();
  const cursors: string[] = [];
  for (const messageId of ids) {
    const { message, messageEdge } = await done(app, "pinMessage", { messageId }, alice, PINNED);
    assert.deepEqual([message.pinnedBy.id, messageEdge.node.id], [alice.id, messageId]);
    cursors.unshift(messageEdge.cursor);
    const node = { id: messageId, pinnedAt: message.pinnedAt };
    assert.deepEqual(await nextEvent(), { __typename: "MessagePinnedEvent", messageEdge: { ...messageEdge, node } });
    assert.deepEqual((await done(app, "pinMessage", { messageId }, alice, PINNED)).message, message, "once is enough");
  }
  const read = async (args: object = {}) =>
    (await app.run(
      `query ($id: ID!, ${PAGE_VARIABLES}) { room(id: $id) { pinnedMessages(${PAGE_ARGS}) { ${PAGE} } } }`,
      { id: room.id, ...args },
      bob,
    )).room.pinnedMessages;
  const expected = ids.toReversed();
  for (const size of [1, 2, 3, 4]) await assertPages(read, expected, size);
  assert.deepEqual((await read()).edges.map(({ cursor }: Any) => cursor), cursors);

  const [first = "", second = "", third = ""] = ids;
  const unpin = () => done(app, "unpinMessage", { messageId: second }, alice, "message { pinnedAt }");
  assert.equal((await unpin()).message.pinnedAt, null);
  assert.deepEqual((await nextEvent()).message, { id: second, pinnedAt: null, pinnedBy: null });
  await unpin();
  await done(app, "deleteMessage", { messageId: third }, bob);
  assert.deepEqual(idsOf(await read()), [first]);
  const kinds = (await logSince(app, room)).slice(3).map(([kind]) => kind);
  const pinned = ["MESSAGE_PINNED", "MESSAGE_PINNED", "MESSAGE_PINNED"];
  assert.deepEqual(kinds, [...pinned, "MESSAGE_UNPINNED", "MESSAGE_DELETED"]);
  assert.deepEqual(await refusal(app, "pinMessage", { messageId: third }, alice), ["NOT_EDITABLE", "messageId"]);
});

Deno.test("pinning takes the permission, and a room that one cannot see is not given away", async () => {
  await using app = await startApp();
  const [alice, bob, eve] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(alice, room, "hi");
  const names = ["pinMessage", "unpinMessage"];
  for (const name of names) {
    assert.deepEqual(await refusal(app, name, { messageId }, bob), ["FORBIDDEN", "messageId"]);
    for (const id of [messageId, "garbage", room.id, encodeId("message", newId())]) {
      assert.deepEqual(await refusal(app, name, { messageId: id }, eve), ["NOT_FOUND", "messageId"]);
    }
  }
  const query = "query ($id: ID!) { room(id: $id) { pinnedMessages { nodes { id } } } }";
  assert.deepEqual(await app.run(query, { id: room.id }, eve), { room: { pinnedMessages: null } });
  await done(app, "updateMember", { roomId: room.id, userId: bob.id, role: "MODERATOR" }, alice);
  for (const name of names) await done(app, name, { messageId }, bob);
  const direct = await makeDirectRoom(app, alice, bob);
  const { id } = await app.send(alice, direct, "between us");
  await done(app, "pinMessage", { messageId: id }, bob);
});

Deno.test("a room has at most 100 pinned messages, however many are pinned at once", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await app.app.sql`
    insert into messages (id, room_id, seq, author_id, content, request_hash, pinned_at, pinned_by_id)
    select gen_random_uuid(), ${findId("room", room.id)}, -n, ${findId("user", alice.id)}, 'old', '', now(),
      ${findId("user", alice.id)}
    from generate_series(1, 97) as n`;
  const ids: string[] = [];
  for (let n = 0; n < 6; n++) ids.push((await app.send(alice, room, "hi")).id);
  const pin = (as: Person) => ids.map((messageId) => mutate(app, "pinMessage", { messageId }, as));
  const answers = await collide(app, room, () => pin(alice));
  const errors = answers.flatMap((answer) => answer.errors);
  assert.deepEqual(errors.map(({ code, path, limit }: Any) => [code, ...path, limit]), [
    ["TOO_LONG", "messageId", 100],
    ["TOO_LONG", "messageId", 100],
    ["TOO_LONG", "messageId", 100],
  ]);
  assert.equal((await logSince(app, room)).length, 9, "a pin that was refused burns no number");
});
