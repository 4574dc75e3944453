/** Promises of the room log: each event reaches each follower once, in order, however often the connection is lost. */
import { strict as assert } from "node:assert";
import { startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { RoomFollower, seqOf } from "./support/follow.ts";
import { assertGapless, followWithDrops } from "./support/gapless.ts";
import { done } from "./support/mutations.ts";
import { commitSilently } from "./support/rooms.ts";

const SENDERS = 20;
const MESSAGES_EACH = 50;
/** How many events each of the followers takes before it drops its socket: with and without a common divisor. */
const DROPS = [7, 11, 20, 25, 33, 50, 77, 99, 100, 101];

Deno.test("a crowd talks at once: followers who lose their socket again and again miss nothing", async () => {
  await using app = await startApp();
  const people = await Promise.all(Array.from({ length: SENDERS }, () => app.signUp()));
  const [owner, ...others] = people;
  assert.ok(owner);
  const room = await app.makeRoom(owner, ...others);
  const [from, to] = [seqOf(room) + 1, seqOf(room) + SENDERS * MESSAGES_EACH];
  const sending = people.map(async (person, index) => {
    for (let n = 0; n < MESSAGES_EACH; n++) await app.send(person, room, `${index}:${n}`);
  });
  const followings = DROPS.map((every, index) =>
    followWithDrops(app, people[index] ?? owner, room, { every, until: to })
  );
  await Promise.all(sending);
  const [first, ...rest] = await Promise.all(followings);
  assert.ok(first);
  assertGapless(first, from, to);
  for (const events of rest) assert.deepEqual(events, first);
  const contents = first.map(({ message }) => message.content);
  assert.equal(new Set(contents).size, SENDERS * MESSAGES_EACH);
  for (const index of people.keys()) {
    const own = contents.filter((content) => content.startsWith(`${index}:`));
    assert.deepEqual(own, own.map((_, n) => `${index}:${n}`), "what one person sends one by one arrives in that order");
  }
});

Deno.test("after whichever event the socket drops, the cursor leads to the next one", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner, await app.signUp());
  await makeOneOfEachKind(app, room, owner);
  const { cursor } = await app.send(owner, room, "the last");
  const to = Number(cursor.split(".")[1]);
  for (let every = 1; every <= to; every++) {
    const events = await followWithDrops(app, owner, { ...room, cursor: room.cursor.replace(/\d+$/, "0") }, {
      every,
      until: to,
    });
    assertGapless(events, 1, to);
  }
});

async function makeOneOfEachKind(app: TestApp, room: TestRoom, owner: Awaited<ReturnType<TestApp["signUp"]>>) {
  const { id: messageId } = await app.send(owner, room, "a message");
  await done(app, "editMessage", { messageId, content: "an edited message" }, owner);
  await done(app, "deleteMessage", { messageId }, owner);
  const guest = await app.signUp();
  await done(app, "joinRoom", { roomId: room.id }, guest);
  await done(app, "kickMember", { roomId: room.id, userId: guest.id }, owner);
}

Deno.test("one who comes back 5,000 events later gets all of them, in order, at most 100 at a time", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner);
  const from = seqOf(room);
  await commitSilently(app, room, 5_000);
  await using follower = new RoomFollower(app, owner, room, room.cursor);
  const seqs: number[] = [];
  while (seqs.length < 5_000) {
    const { events, cursor } = await follower.next();
    assert.ok(events.length >= 1 && events.length <= 100, `a batch has ${events.length} events`);
    assert.equal(cursor, events.at(-1)?.cursor);
    seqs.push(...events.map(seqOf));
  }
  assert.deepEqual(seqs, Array.from({ length: 5_000 }, (_, index) => from + 1 + index));
  const { cursor } = await app.send(owner, room, "live again");
  assert.deepEqual((await follower.next()).events.map((event) => event.cursor), [cursor]);
});
