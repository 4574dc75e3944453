/** Promises of the live streams. */
import { strict as assert } from "node:assert";
import { startApp } from "./support/app.ts";
import { RoomFollower } from "./support/follow.ts";

Deno.test("two people chat: what one sends, the other receives", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await using follower = new RoomFollower(app, bob, room);
  assert.deepEqual((await follower.next()).events, []);
  const sent = await app.send(alice, room, "Hello Bob");
  const { events: [event] } = await follower.next();
  assert.equal(event.message.content, "Hello Bob");
  assert.equal(event.cursor, sent.cursor);
});
