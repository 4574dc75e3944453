/** Promises about those who are no longer in a room: nothing later than their removal reaches them, on any way in. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { EventStream } from "./support/event_streams.ts";
import { inTime } from "./support/eventually.ts";
import { ROOM_EVENTS, RoomFollower, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { done, refusal } from "./support/mutations.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const REMOVALS = {
  kick: (app: TestApp, room: TestRoom, owner: Person, member: Person) =>
    done(app, "kickMember", { roomId: room.id, userId: member.id }, owner),
  ban: (app: TestApp, room: TestRoom, owner: Person, member: Person) =>
    done(app, "banMember", { roomId: room.id, userId: member.id }, owner),
  leave: (app: TestApp, room: TestRoom, _owner: Person, member: Person) =>
    done(app, "leaveRoom", { roomId: room.id }, member),
};

for (const [name, remove] of Object.entries(REMOVALS)) {
  Deno.test(`after a ${name} both kinds of streams end with the event of the removal, and every other way in is closed`, async () => {
    await using app = await startApp();
    const [owner, member] = [await app.signUp(), await app.signUp()];
    const room = await app.makeRoom(owner, member);
    const sent = await app.send(owner, room, "before");
    const { room: { viewerMembership } } = await app.run(
      `query ($id: ID!) { room(id: $id) { viewerMembership { id } } }`,
      { id: room.id },
      member,
    );
    await using socket = new RoomFollower(app, member, room, sent.cursor);
    await using stream = await EventStream.follow(app, member, room, sent.cursor);
    await using other = new RoomFollower(app, owner, room, sent.cursor);
    for (const follower of [socket, stream, other]) await follower.next();

    await remove(app, room, owner, member);
    const last = await app.send(owner, room, "after");
    for (const events of [await socket.take(Infinity), await stream.take(Infinity)]) {
      assert.equal(events.length, 1);
      assert.equal(events[0].__typename, "MemberRemovedEvent");
      assert.equal(events[0].removedMemberId, viewerMembership.id);
    }
    assert.deepEqual((await other.take(2)).at(-1).cursor, last.cursor, "the others go on");

    assert.deepEqual(await whyRefused(app, member, room, sent.cursor), ["NOT_A_MEMBER"]);
    const { room: outside, message, membership } = await app.run(
      `query ($room: ID!, $message: ID!, $membership: ID!) {
        room(id: $room) { eventCursor messages { nodes { id } } lastMessage { id } members { nodes { id } } }
        message: node(id: $message) { id }
        membership: node(id: $membership) { id }
      }`,
      { room: room.id, message: sent.id, membership: viewerMembership.id },
      member,
    );
    assert.deepEqual(outside, { eventCursor: null, messages: null, lastMessage: null, members: null });
    assert.deepEqual([message, membership], [null, null]);
    assert.deepEqual(await refusal(app, "sendMessage", { roomId: room.id, content: "still here" }, member), [
      "NOT_A_MEMBER",
      "roomId",
    ]);
  });
}

Deno.test("one who was removed from a private room is told that there is none, on both kinds of streams", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(owner, member);
  await app.app.sql`update rooms set kind = 'PRIVATE' where slug = ${room.slug}`;
  await done(app, "kickMember", { roomId: room.id, userId: member.id }, owner);
  assert.deepEqual(await whyRefused(app, member, room, room.cursor), ["NOT_FOUND"]);
  assert.deepEqual(await whyRefused(app, member, room, null), ["NOT_FOUND"]);
  const { room: gone } = await app.run(`query ($id: ID!) { room(id: $id) { id } }`, { id: room.id }, member);
  assert.equal(gone, null);
});

Deno.test("one who was removed and came back gets a whole stream, whatever was in between", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(owner, member);
  await done(app, "kickMember", { roomId: room.id, userId: member.id }, owner);
  await app.send(owner, room, "while away");
  await done(app, "joinRoom", { roomId: room.id }, member);
  const last = await app.send(owner, room, "welcome back");
  const [from, to] = [seqOf(room) + 1, seqOf(last)];
  await using socket = new RoomFollower(app, member, room, room.cursor);
  await using stream = await EventStream.follow(app, member, room, room.cursor);
  for (const follower of [socket, stream]) assertGapless(await follower.take(to - from + 1), from, to);
  await done(app, "kickMember", { roomId: room.id, userId: member.id }, owner);
  for (const follower of [socket, stream]) {
    assert.deepEqual((await follower.take(Infinity)).map(({ __typename }) => __typename), ["MemberRemovedEvent"]);
  }
});

Deno.test("a removal in the middle of a flood is the last event that the removed one gets", async () => {
  await using app = await startApp();
  const [owner, member, ...senders] = await Promise.all(Array.from({ length: 6 }, () => app.signUp()));
  assert.ok(owner && member);
  const room = await app.makeRoom(owner, member, ...senders);
  const followers = await Promise.all([
    ...Array.from({ length: 5 }, () => new RoomFollower(app, member, room, room.cursor)),
    ...Array.from({ length: 5 }, () => EventStream.follow(app, member, room, room.cursor)),
  ]);
  await using closing = new AsyncDisposableStack();
  for (const follower of followers) closing.use(follower);
  const flood = senders.map(async (sender) => {
    for (let n = 0; n < 60; n++) {
      await app.send(sender, room, `message ${n}`);
      if (sender === senders[0] && n === 20) await REMOVALS.kick(app, room, owner, member);
    }
  });
  const everything = await Promise.all(followers.map((follower) => inTime("the end", follower.take(Infinity))));
  await Promise.all(flood);
  for (const events of everything) {
    const removal = events.at(-1);
    assert.equal(removal.__typename, "MemberRemovedEvent");
    assertGapless(events, seqOf(room) + 1, seqOf(removal));
  }
});

Deno.test("a cursor from the future does not carry anybody past the own removal", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(owner);
  await using witness = new RoomFollower(app, owner, room);
  await witness.next();
  for (let attempt = 0; attempt < 5; attempt++) {
    await done(app, "joinRoom", { roomId: room.id }, member);
    const { cursor } = await app.send(owner, room, "before");
    await using socket = await RawSocket.signIn(app, member);
    const after = cursor.replace(/\d+$/, (seq) => String(Number(seq) + 1)); // what the removal will be
    // While the database is busy, what both ask of it is put in a row: the membership, the removal, the head.
    const busy = app.app.sql`select count(*) from generate_series(1, 100000)`.execute();
    socket.subscribe("stream", ROOM_EVENTS, { roomId: room.id, after });
    await socket.ask(`mutation ($input: LeaveRoomInput!) { leaveRoom(input: $input) { leftRoomId } }`, {
      input: { roomId: room.id },
    });
    await busy;
    await app.send(owner, room, "after");
    for (let isOpen = true; isOpen;) {
      const { type, payload } = await inTime("the end of the stream", socket.next("stream"));
      isOpen = type === "next";
      const events: Any[] = payload?.data?.roomEvents.events ?? [];
      assert.deepEqual(events.filter(({ message }) => message?.content === "after"), [], `attempt ${attempt}`);
    }
  }
});

/** Codes of the refusal over WebSocket and over SSE, which are the same. */
async function whyRefused(app: TestApp, as: Person, room: TestRoom, after: string | null): Promise<unknown[]> {
  await using stream = await EventStream.follow(app, as, room, after);
  await using socket = await RawSocket.signIn(app, as);
  const overSse = codesOf(await stream.next()).flat();
  assert.deepEqual(codesOf(await socket.ask(ROOM_EVENTS, { roomId: room.id, after })).flat(), overSse);
  return overSse;
}
