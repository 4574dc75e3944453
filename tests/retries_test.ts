/** Promises to a client that got no answer and sends again. */
import { strict as assert } from "node:assert";
import { startApp } from "./support/app.ts";
import { RoomFollower, seqOf } from "./support/follow.ts";
import { done, refusal } from "./support/mutations.ts";

const MESSAGE = "message { id content } messageEdge { cursor }";

Deno.test("the same message sent 50 times at once is one message and one event, and burns no number", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  await using follower = new RoomFollower(app, alice, room, room.cursor);
  const input = { roomId: room.id, content: "only once", clientMessageId: crypto.randomUUID() };
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => done(app, "sendMessage", input, alice, MESSAGE)),
  );
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  const next = await app.send(alice, room, "next");
  const events = await follower.take(2);
  assert.deepEqual(events.map(({ message }) => message.id), [answers[0].message.id, next.id]);
  assert.deepEqual(events.map(seqOf), [seqOf(room) + 1, seqOf(room) + 2]);
});

Deno.test("a retry returns the first message for ever, as it is now; the id belongs to its author alone", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);
  const input = { roomId: room.id, content: "first", clientMessageId: "mine" };
  const { message } = await done(app, "sendMessage", input, alice, MESSAGE);
  const retry = async () => (await done(app, "sendMessage", input, alice, MESSAGE)).message;
  await done(app, "editMessage", { messageId: message.id, content: "edited" }, alice);
  assert.deepEqual(await retry(), { id: message.id, content: "edited" });
  const other = await done(app, "sendMessage", input, bob, MESSAGE);
  assert.notEqual(other.message.id, message.id);
  await done(app, "deleteMessage", { messageId: message.id }, alice);
  assert.deepEqual(await retry(), { id: message.id, content: null });
});

Deno.test("the same id with another text or in another room is refused, and leaves nothing behind", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const [room, other] = [await app.makeRoom(alice), await app.makeRoom(alice)];
  const input = { roomId: room.id, content: "first", clientMessageId: "mine" };
  const { messageEdge } = await done(app, "sendMessage", input, alice, MESSAGE);
  for (const change of [{ content: "second" }, { roomId: other.id }]) {
    assert.deepEqual(await refusal(app, "sendMessage", { ...input, ...change }, alice), [
      "IDEMPOTENCY_MISMATCH",
      "clientMessageId",
    ]);
  }
  for (const [{ id }, cursor] of [[room, messageEdge.cursor], [other, other.cursor]] as const) {
    const { room: now } = await app.run(`query ($id: ID!) { room(id: $id) { eventCursor } }`, { id }, alice);
    assert.equal(now.eventCursor, cursor);
  }
});
