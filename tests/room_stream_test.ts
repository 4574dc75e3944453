/** Promises of a room's stream on one node: hints may be lost, doubled, shuffled or wrong, the events are right. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { liveBlocks } from "../src/live/blocks.ts";
import { roomTopic } from "../src/rooms/events.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { countFollowers, countLogReads } from "./support/counters.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { RoomFollower, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { commitSilently } from "./support/rooms.ts";
import { RawSocket } from "./support/sockets.ts";

Deno.test("lost, doubled and shuffled hints change nothing: each event comes once, in order", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner);
  const from = seqOf(room) + 1;
  await using follower = await followFromNow(app, owner, room);
  const hints = await commitSilently(app, room, 300);
  const heard = hints.filter((_, index) => index % 3 > 0 || index === 299);
  const shuffled = [...heard, ...heard].map((hint) => ({ hint, place: Math.random() }));
  for (const { hint } of shuffled.sort((a, b) => a.place - b.place)) publish(app, hint);
  assertGapless(await inTime("300 events", follower.take(300)), from, from + 299);
  await app.send(owner, room, "after all that");
  assert.deepEqual((await follower.next()).events.map(seqOf), [from + 300]);
});

Deno.test("when the last hint is lost, the event still comes", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner);
  await using follower = await followFromNow(app, owner, room);
  await commitSilently(app, room, 1);
  assertGapless(await inTime("the event", follower.take(1)), seqOf(room) + 1, seqOf(room) + 1);
});

Deno.test("a hint that is nonsense, or about another room, is nothing to the followers", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const [room, other] = [await app.makeRoom(owner), await app.makeRoom(owner)];
  await using follower = await followFromNow(app, owner, room);
  const [mine, foreign] = [uuidOf(room), uuidOf(other)];
  const seq = seqOf(room) + 1;
  const nonsense: unknown[] = [
    null,
    undefined,
    "text",
    7,
    [],
    {},
    { roomId: mine },
    { roomId: mine, seq: String(seq) },
    { roomId: mine, seq: -1 },
    { roomId: mine, seq: 0.5 },
    { roomId: mine, seq: NaN },
    { roomId: mine, seq: Number.MAX_SAFE_INTEGER },
    { roomId: mine, seq },
    { roomId: mine, seq: seq + 1, kind: "MESSAGE_SENT" },
    { ...(await commitSilently(app, other, 1))[0], seq },
  ];
  for (const message of nonsense) app.app.bus.publish(roomTopic(mine), message);
  app.app.bus.publish(roomTopic(foreign), nonsense);
  const sent = [await app.send(owner, room, "one"), await app.send(owner, room, "two")];
  const events = await inTime("both messages", follower.take(2));
  assert.deepEqual(events.map(({ message }) => message?.id), sent.map(({ id }) => id));
});

Deno.test("a hint from a future that never came is not believed when its number is given to another event", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner);
  await using follower = await followFromNow(app, owner, room);
  const [past] = await commitSilently(app, room, 1);
  publish(app, past);
  await follower.take(1);
  const reads = await countLogReads(app);
  publish(app, { ...past, seq: past.seq + 2 });
  await eventually("the log is asked for what is missing", async () => await countLogReads(app) > reads);
  const sent = [await app.send(owner, room, "one"), await app.send(owner, room, "two")];
  const events = await inTime("both messages", follower.take(2));
  assert.deepEqual(events.map(({ message }) => message.id), sent.map(({ id }) => id));
});

Deno.test("an event that arrives in the very moment in which the one before is done is delivered too", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner);
  await using socket = await RawSocket.signIn(app, owner);
  // Needs no database, so that everything between two events is a chain of promises: each moment of it is tried.
  socket.subscribe("id", `subscription ($id: ID!) { roomEvents(roomId: $id) { events { cursor } } }`, { id: room.id });
  await socket.next("id");
  const moments = 60;
  const hints = await commitSilently(app, room, 2 * moments);
  for (let moment = 0; moment < moments; moment++) {
    publish(app, hints[2 * moment]);
    for (let n = 0; n < moment; n++) await Promise.resolve();
    publish(app, hints[2 * moment + 1]);
    for (let missing = 2; missing > 0;) {
      const { payload } = await inTime(`the event after ${moment} promises`, socket.next("id"));
      missing -= payload.data.roomEvents.events.length;
    }
  }
});

Deno.test("over WebSocket and over SSE the same room gives the same events", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);
  await using socket = await followFromNow(app, alice, room);
  await using stream = await EventStream.follow(app, alice, room, room.cursor);
  await Promise.all(Array.from({ length: 50 }, (_, n) => app.send(n % 2 ? alice : bob, room, `message ${n}`)));
  const events = await socket.take(50);
  assertGapless(events, seqOf(room) + 1, seqOf(room) + 50);
  assert.deepEqual(await stream.take(50), events);
});

Deno.test("once everybody has left, nobody follows the room and nothing listens to its hints", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);
  app.app.once(liveBlocks); // listens for all rooms, as long as the node runs
  const before = app.app.bus.listenerCount;
  {
    await using _overSocket = await followFromNow(app, alice, room);
    await using overSse = await EventStream.follow(app, bob, room);
    await overSse.next();
    assert.equal(await countFollowers(app), 2);
    assert.ok(app.app.bus.listenerCount > before);
  }
  await eventually("nobody follows", async () => await countFollowers(app) === 0);
  await eventually("nothing listens", () => app.app.bus.listenerCount === before);
});

/** A follower who has got the first, empty batch: it is live. */
async function followFromNow(app: TestApp, as: Person, room: TestRoom): Promise<RoomFollower> {
  const follower = new RoomFollower(app, as, room);
  assert.deepEqual((await follower.next()).events, []);
  return follower;
}

function publish(app: TestApp, hint: Any): void {
  app.app.bus.publish(roomTopic(hint.roomId), hint);
}

function uuidOf({ id }: TestRoom): string {
  return findId("room", id) ?? "";
}
