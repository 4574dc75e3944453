/** The promise of the edit window: what was said long ago stays said. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { connect } from "./support/follow.ts";
import { done, refusal } from "./support/mutations.ts";
import { changeMember } from "./support/rooms.ts";

Deno.test("a message is edited within the window only, and clients are told; deleting it has no end", async () => {
  await using app = await startApp({ MESSAGE_EDIT_WINDOW_SECONDS: "600" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const { id: messageId } = await app.send(alice, room, "first");
  const isEditable = async (as: Person) =>
    (await app.run("query ($id: ID!) { node(id: $id) { ... on Message { viewerCanEdit } } }", { id: messageId }, as))
      .node
      .viewerCanEdit;
  const age = (seconds: number) =>
    app.app.sql`
      update messages set created_at = now() - make_interval(secs => ${seconds}) where id = ${
      findId("message", messageId)
    }`;
  await age(590);
  assert.equal(await isEditable(alice), true);
  await done(app, "editMessage", { messageId, content: "second" }, alice);
  const query = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events {
    ... on ReactionAddedEvent { message { viewerCanEdit } }
  } } }`;
  const client = connect(app, alice);
  await using _closing = { [Symbol.asyncDispose]: async () => await client.dispose() };
  const stream = client.iterate<Any>({ query, variables: { roomId: room.id } });
  const nextEvent = async () => (await stream.next()).value.data.roomEvents.events[0];
  await stream.next();
  await done(app, "addReaction", { messageId, emoji: "👍" }, alice);
  assert.equal((await nextEvent()).message.viewerCanEdit, true);
  await age(600);
  await done(app, "addReaction", { messageId, emoji: "🎉" }, alice);
  assert.equal((await nextEvent()).message.viewerCanEdit, false);
  assert.equal(await isEditable(alice), false);
  const late = { messageId, content: "third" };
  assert.deepEqual(await refusal(app, "editMessage", late, alice), ["NOT_EDITABLE", "messageId"]);
  await done(app, "deleteMessage", { messageId }, alice);
  const muted = await app.send(alice, room, "fresh");
  await changeMember(app, { person: alice, room, mutedUntil: new Date(Date.now() + 60_000) });
  const { node } = await app.run(
    "query ($id: ID!) { node(id: $id) { ... on Message { viewerCanEdit viewerCanDelete } } }",
    { id: muted.id },
    alice,
  );
  assert.deepEqual(node, { viewerCanEdit: false, viewerCanDelete: true }, "who is muted may only delete");
});
