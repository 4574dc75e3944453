/** Promises of cursors: each leads on from where it points, or says that it cannot. */
import { strict as assert } from "node:assert";
import { cutLogs } from "../src/live/retention.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { ROOM_EVENTS, RoomFollower, seqOf } from "./support/follow.ts";
import { done } from "./support/mutations.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

Deno.test("without a cursor, and with that of the newest event, the first batch is empty and comes at once", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  const { cursor } = await app.send(alice, room, "one");
  for (const after of [null, cursor]) {
    await using follower = new RoomFollower(app, alice, room, after);
    assert.deepEqual(await follower.next(), { cursor, events: [] });
  }
  await using follower = new RoomFollower(app, alice, room, room.cursor);
  const { events, cursor: position } = await follower.next();
  assert.deepEqual([events.map((event) => event.cursor), position], [[cursor], cursor]);
});

Deno.test("a cursor of another room, of the future or of before the retention says so, and the stream goes on live", async () => {
  await using app = await startApp({ EVENT_RETENTION_DAYS: "1" });
  const alice = await app.signUp();
  const [room, other] = [await app.makeRoom(alice), await app.makeRoom(alice)];
  for (const content of ["one", "two", "three"]) await app.send(alice, room, content);
  await app.app.sql`
    update room_events
    set created_at = now() - interval '2 days'
    where seq <= ${seqOf(room) + 2}
      and room_id = (select id from rooms where slug = ${room.slug})`;
  assert.equal(await cutLogs(app.app), seqOf(room) + 2);
  const { cursor: newest } = await app.send(alice, room, "four");
  const at = (seq: number) => newest.replace(/\d+$/, String(seq));

  for (const after of [other.cursor, at(seqOf(room) + 1_000), at(0), room.cursor, at(seqOf(room) + 1)]) {
    await using follower = new RoomFollower(app, alice, room, after);
    const { events: [event, ...more], cursor } = await follower.next();
    assert.deepEqual([event.__typename, event.cursor, more, cursor], [
      "RoomResyncEvent",
      await headOf(app, room),
      [],
      cursor,
    ]);
    const live = await app.send(alice, room, "live");
    assert.deepEqual((await follower.next()).events.map((next) => next.cursor), [live.cursor]);
  }
  await using follower = new RoomFollower(app, alice, room, at(seqOf(room) + 2));
  const events = await follower.take(2);
  assert.deepEqual(events.slice(0, 2).map(({ message }) => message.content), ["three", "four"]);
});

Deno.test("a text that never was a cursor is refused", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, alice);
  const [epoch] = room.cursor.split(".");
  for (
    const after of ["", "1", "nonsense", `${epoch}`, `${epoch}.`, `${epoch}.-1`, `${epoch}.01`, `${epoch}.1e3`, "é.1"]
  ) {
    const answer = await socket.ask(ROOM_EVENTS, { roomId: room.id, after });
    assert.deepEqual(codesOf(answer), [["BAD_USER_INPUT"]], after);
  }
});

Deno.test("an edited message replays as it is now, a deleted one as a tombstone, at each of their events", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  const [edited, deleted] = [await app.send(alice, room, "typo"), await app.send(alice, room, "secret")];
  await done(app, "editMessage", { messageId: edited.id, content: "fixed" }, alice);
  await done(app, "editMessage", { messageId: deleted.id, content: "still secret" }, alice);
  await done(app, "deleteMessage", { messageId: deleted.id }, alice);
  const events = await replay(app, alice, room, 5);
  assert.deepEqual(events.map(({ __typename, message }) => [__typename, message.id, message.content]), [
    ["MessageSentEvent", edited.id, "fixed"],
    ["MessageSentEvent", deleted.id, null],
    ["MessageEditedEvent", edited.id, "fixed"],
    ["MessageEditedEvent", deleted.id, null],
    ["MessageDeletedEvent", deleted.id, null],
  ]);
});

Deno.test("what was deleted is not replayed from before the deletion, also while others follow", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  const { id } = await app.send(alice, room, "secret");
  await using follower = new RoomFollower(app, alice, room, room.cursor);
  assert.equal((await follower.next()).events[0].message.content, "secret");
  await done(app, "deleteMessage", { messageId: id }, alice);
  assert.deepEqual((await replay(app, alice, room, 2)).map(({ message }) => message.content), [null, null]);
});

Deno.test("the joining of someone who has left since is replayed as it was", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp("bob")];
  const room = await app.makeRoom(alice);
  const { member } = await done(app, "joinRoom", { roomId: room.id }, bob, "member { id }");
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  const [joined, left] = await replay(app, alice, room, 2);
  assert.deepEqual([joined.__typename, joined.member], ["MemberJoinedEvent", {
    id: member.id,
    user: { username: bob.username },
  }]);
  assert.deepEqual([left.removedMemberId, left.reason, left.user.username], [member.id, "LEFT", bob.username]);
});

async function replay(app: TestApp, as: Person, room: TestRoom, count: number): Promise<Any[]> {
  await using follower = new RoomFollower(app, as, room, room.cursor);
  return await follower.take(count);
}

async function headOf({ app: { sql } }: TestApp, { slug }: TestRoom): Promise<string> {
  const [room] = await sql<Any>`select epoch, last_seq from rooms where slug = ${slug}`;
  return `${room.epoch}.${room.lastSeq}`;
}
