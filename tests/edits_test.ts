/** Promises of edited and deleted messages. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { type Any, startApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { logSince, readLog } from "./support/rooms.ts";

const MESSAGE = "message { id content createdAt editedAt deletedAt }";

Deno.test("an edit changes the words and says when; the same words again are no edit", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const { id: messageId, cursor } = await app.send(alice, room, "frist");
  const edit = async (content: string) =>
    (await done(app, "editMessage", { messageId, content }, alice, MESSAGE)).message;
  assert.equal((await edit(" frist ")).editedAt, null);
  const edited = await edit(" first\n");
  assert.equal(edited.content, "first");
  assert.ok(edited.editedAt >= edited.createdAt);
  assert.deepEqual(await edit("first"), edited);
  assert.deepEqual(await logSince(app, room), [["MESSAGE_SENT", messageId], ["MESSAGE_EDITED", messageId]]);
  const { room: { messages } } = await app.run(
    "query ($id: ID!) { room(id: $id) { messages { edges { cursor node { id content } } } } }",
    { id: room.id },
    alice,
  );
  assert.deepEqual(messages.edges, [{ cursor, node: { id: messageId, content: "first" } }], "it keeps its place");
});

Deno.test("an edit that is refused says why and changes nothing", async () => {
  await using app = await startApp({ MAX_MESSAGE_LENGTH: "10" });
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(alice, room, "first");
  const refused: [change: object, answer: (string | number)[]][] = [
    [{ content: "" }, ["EMPTY", "content"]],
    [{ content: " \n " }, ["EMPTY", "content"]],
    [{ content: "🦊".repeat(11) }, ["TOO_LONG", "content", 10]],
    [{ content: "NUL\0" }, ["INVALID_INPUT", "content"]],
    [{ content: "half \ud83e" }, ["INVALID_INPUT", "content"]],
    [{ messageId: "garbage" }, ["NOT_FOUND", "messageId"]],
    [{ messageId: room.id }, ["NOT_FOUND", "messageId"]],
    [{ messageId: encodeId("message", newId()) }, ["NOT_FOUND", "messageId"]],
  ];
  for (const [change, answer] of refused) {
    const input = { messageId, content: "other", ...change };
    assert.deepEqual(await refusal(app, "editMessage", input, alice), answer, JSON.stringify(change));
  }
  const input = { messageId, content: "other" };
  assert.deepEqual(await refusal(app, "editMessage", input, bob), ["FORBIDDEN", "messageId"]);
  assert.deepEqual(await refusal(app, "editMessage", { ...input, content: "first" }, bob), ["FORBIDDEN", "messageId"]);
  await done(app, "deleteMessage", { messageId }, alice);
  assert.deepEqual(await refusal(app, "editMessage", input, alice), ["NOT_EDITABLE", "messageId"]);
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  assert.deepEqual(await refusal(app, "editMessage", input, bob), ["NOT_FOUND", "messageId"]);
  const kinds = (await logSince(app, room)).map(([kind]) => kind);
  assert.deepEqual(kinds, ["MESSAGE_SENT", "MESSAGE_DELETED", "MEMBER_REMOVED"]);
});

Deno.test("a deleted message stays as a tombstone without its words; deleting it twice happens once", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const [own, others] = [await app.send(bob, room, "own words"), await app.send(bob, room, "bob's words")];
  const remove = async (messageId: string, person = alice) =>
    (await done(app, "deleteMessage", { messageId }, person, MESSAGE)).message;
  const tombstone = await remove(own.id, bob);
  assert.equal(tombstone.content, null);
  assert.ok(tombstone.deletedAt >= tombstone.createdAt);
  const atOnce = await Promise.all([1, 2, 3].map(() => remove(others.id)));
  assert.equal(new Set(atOnce.map(({ deletedAt }) => deletedAt)).size, 1);
  assert.deepEqual(await remove(own.id, bob), tombstone);
  assert.deepEqual(await remove(own.id), tombstone);
  const log = await logSince(app, room);
  assert.deepEqual(log.slice(2), [["MESSAGE_DELETED", own.id], ["MESSAGE_DELETED", others.id]]);
  const stored = await app.app.sql<Any[]>`select content from messages`;
  assert.deepEqual(stored.map(({ content }) => content), [null, null], "the words are gone from the database too");
  for (const messageId of ["garbage", room.id, encodeId("message", newId())]) {
    assert.deepEqual(await refusal(app, "deleteMessage", { messageId }, alice), ["NOT_FOUND", "messageId"]);
  }
});

Deno.test("edits that race a deletion leave a tombstone, and no gap in the log", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  for (let round = 0; round < 8; round++) {
    const { id: messageId } = await app.send(bob, room, "words");
    const edit = (content: string) => mutate(app, "editMessage", { messageId, content }, bob, MESSAGE);
    const [removed, ...edits] = await Promise.all([
      mutate(app, "deleteMessage", { messageId }, alice, MESSAGE),
      edit("one"),
      edit("two"),
      mutate(app, "deleteMessage", { messageId }, bob, MESSAGE),
    ]);
    assert.deepEqual([removed.errors, removed.message.content], [[], null]);
    for (const { errors } of edits) {
      for (const { code } of errors) assert.equal(code, "NOT_EDITABLE");
    }
    const kinds = (await readLog(app, room)).filter(([, id]) => id === messageId).map(([kind]) => kind);
    assert.equal(kinds.at(-1), "MESSAGE_DELETED");
    assert.equal(kinds.filter((kind) => kind === "MESSAGE_DELETED").length, 1);
    const accepted = edits.slice(0, 2).filter(({ errors }) => errors.length === 0).length;
    assert.equal(kinds.length, 2 + accepted, "an edit that was accepted is in the log");
  }
});
