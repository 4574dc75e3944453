/** Promises of the log without a socket: the same events on the same cursors, by requests that may wait. */
import { strict as assert } from "node:assert";
import { type Any, startApp, type TestApp } from "./support/app.ts";
import { countWaitingPolls } from "./support/counters.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { RoomFollower, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { done } from "./support/mutations.ts";
import { POLL, poll, pollUntil, tryPoll } from "./support/polls.ts";
import { logIn } from "./support/sessions.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const MESSAGES = 240;
const WAITING_MAX = 20;

Deno.test("one who switches between WebSocket, SSE and long-poll while others write misses nothing", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob, carol);
  const [from, to] = [seqOf(room) + 1, seqOf(room) + MESSAGES];
  const sending = [alice, bob].map(async (person) => {
    for (let n = 0; n < MESSAGES / 2; n++) await app.send(person, room, `message ${n}`);
  });
  const transports = [
    async (after: string, count: number) => {
      await using follower = new RoomFollower(app, carol, room, after);
      return await follower.take(count);
    },
    async (after: string, count: number) => {
      await using stream = await EventStream.follow(app, carol, room, after);
      return await stream.take(count);
    },
    (after: string, count: number) => pollUntil(app, carol, room, { after, count }),
  ];
  const events: Any[] = [];
  for (let turn = 0; events.length < MESSAGES; turn++) {
    const after = events.at(-1)?.cursor ?? room.cursor;
    const count = Math.min(1 + turn % 7, MESSAGES - events.length);
    const taken = await transports[turn % transports.length]?.(after, count) ?? [];
    events.push(...taken.slice(0, count)); // what came beyond is left, as if the connection had broken before
  }
  await Promise.all(sending);
  assertGapless(events, from, to);
});

Deno.test("a poll answers at once with what there is, else as soon as there is something", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);

  const now = await poll(app, bob, room, { waitSeconds: 25 });
  assert.deepEqual(now, { cursor: room.cursor, events: [] }, "without a cursor it says where the log ends");
  assert.deepEqual(
    await poll(app, bob, room, { after: room.cursor }),
    now,
    "without a wait it says that nothing is new",
  );

  const waiting = poll(app, bob, room, { after: room.cursor, waitSeconds: 25 });
  await untilWaiting(app);
  const one = await app.send(alice, room, "one");
  const batch = await beforeQuiet(app, "the message", waiting);
  assert.deepEqual(batch?.events.map(({ message }) => message.content), ["one"]);
  assert.equal(batch?.cursor, one.cursor);

  for (const content of ["two", "three", "four"]) await app.send(alice, room, content);
  const page = await poll(app, bob, room, { after: one.cursor, first: 2, waitSeconds: 25 });
  assert.deepEqual(page?.events.map(({ message }) => message.content), ["two", "three"]);
  assert.equal(page?.cursor, page?.events.at(-1).cursor);
  assert.equal(
    (await poll(app, bob, room, { after: page?.cursor ?? "", first: 0, waitSeconds: 25 }))?.cursor,
    page?.cursor,
  );

  await using socket = await RawSocket.signIn(app, bob);
  const overSocket = await socket.ask(POLL, { id: room.id, after: page?.cursor, waitSeconds: 25 });
  assert.deepEqual(overSocket.data.room.events.events.map(({ message }: Any) => message.content), ["four"]);

  const foreign = `00000000-0000-4000-8000-000000000000.${seqOf(one)}`;
  const [resync] = (await poll(app, bob, room, { after: foreign, waitSeconds: 25 }))?.events ?? [];
  assert.equal(resync.__typename, "RoomResyncEvent");
  assert.equal(seqOf(resync), seqOf(room) + 4, "it goes on from the head");

  const late = await poll(app, bob, room, { after: resync.cursor, waitSeconds: 1 });
  assert.deepEqual(late, { cursor: resync.cursor, events: [] }, "a wait that is over is no event");

  for (
    const [args, codes] of [
      [{ after: "nonsense" }, [["BAD_USER_INPUT"]]],
      [{ waitSeconds: -1 }, [["BAD_USER_INPUT", 25]]],
      [{ waitSeconds: 26 }, [["BAD_USER_INPUT", 25]]],
      [{ first: -1 }, [["BAD_USER_INPUT"]]],
      [{ first: 101 }, [["BAD_USER_INPUT", 100]]],
    ] as const
  ) {
    const body = await tryPoll(app, bob, { room, ...args });
    assert.deepEqual(codesOf(body), codes, JSON.stringify(args));
  }
});

Deno.test("a poll ends with the own removal and shows nothing to those who are not in", async () => {
  await using app = await startApp();
  const [owner, member, stranger] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(owner, member);
  const waiting = poll(app, member, room, { after: room.cursor, waitSeconds: 25 });
  await untilWaiting(app);
  await done(app, "kickMember", { roomId: room.id, userId: member.id }, owner);
  const batch = await beforeQuiet(app, "the removal", waiting);
  assert.deepEqual(batch?.events.map(({ __typename }) => __typename), ["MemberRemovedEvent"]);
  await app.send(owner, room, "afterwards");
  for (const person of [member, stranger]) {
    assert.equal(await poll(app, person, room, { after: room.cursor, waitSeconds: 25 }), null);
  }
  assert.equal((await app.run(POLL, { id: room.id })).room.events, null, "nobody in particular");

  await done(app, "joinRoom", { roomId: room.id }, member);
  const past = await poll(app, member, room, { after: room.cursor });
  assert.deepEqual(past?.events.map(({ __typename }) => __typename), [
    "MemberRemovedEvent",
    "MessageSentEvent",
    "MemberJoinedEvent",
  ], "an earlier removal is history");

  // The hint of a removal is lost: it is found together with what came after it, which the removed one must not get.
  const after = past?.cursor ?? "";
  const cut = poll(app, member, room, { after, waitSeconds: 25 });
  await untilWaiting(app);
  await withoutHints(app, () => done(app, "kickMember", { roomId: room.id, userId: member.id }, owner));
  await app.send(owner, room, "after all");
  const lastEvents = (await beforeQuiet(app, "the removal", cut))?.events;
  assert.deepEqual(lastEvents?.map(({ __typename }) => __typename), ["MemberRemovedEvent"]);
});

Deno.test("a waiting poll ends with its session, with its client and with the server", async () => {
  await using app = await startApp();
  const person = await app.signUp();
  const room = await app.makeRoom(person);
  const args = { room, after: room.cursor, waitSeconds: 25 };

  const device = await logIn(app, person);
  const ended = tryPoll(app, device, args);
  await untilWaiting(app);
  await app.run("mutation { logout { endedSessionId } }", {}, device);
  assert.deepEqual(codesOf(await inTime("the end of the session", ended)), [["UNAUTHENTICATED"]]);

  const hangUp = new AbortController();
  const query = `{ room(id: "${room.id}") { events(after: "${room.cursor}", waitSeconds: 25) { cursor } } }`;
  const given = Array.from({ length: WAITING_MAX }, () =>
    fetch(`${app.url}?query=${encodeURIComponent(query)}`, {
      headers: { authorization: `Bearer ${person.token}` },
      signal: hangUp.signal,
    }));
  await untilWaiting(app, WAITING_MAX);
  assert.deepEqual(codesOf(await tryPoll(app, person, args)), [["RATE_LIMITED"]], "one too many");
  hangUp.abort();
  await Promise.allSettled(given);
  await untilWaiting(app, 0);

  const last = tryPoll(app, person, args);
  await untilWaiting(app);
  await app.parley.server.drain();
  assert.deepEqual((await inTime("the answer", last)).data.room.events, { cursor: room.cursor, events: [] });
});

/** The value of a poll that waits 25 s at most, and has it sooner than one in a quiet room that waits 20 s gives up. */
async function beforeQuiet<T>(app: TestApp, what: string, polling: Promise<T>): Promise<T> {
  const person = await app.signUp();
  const room = await app.makeRoom(person);
  const hangUp = new AbortController();
  const quiet = tryPoll(app, person, { room, after: room.cursor, waitSeconds: 20, signal: hangUp.signal }).then(() => {
    throw new Error(`${what} was not answered in time`);
  });
  try {
    return await Promise.race([polling, quiet]);
  } finally {
    hangUp.abort();
    await quiet.catch(() => {});
  }
}

/** Acts while every hint between the parts of the server gets lost. */
async function withoutHints({ app: { bus } }: TestApp, act: () => Promise<unknown>): Promise<void> {
  bus.publish = () => {};
  await act();
  Reflect.deleteProperty(bus, "publish");
}

/** Resolves once so many polls wait. */
async function untilWaiting(app: TestApp, count = 1): Promise<void> {
  await eventually(`${count} waiting polls`, async () => await countWaitingPolls(app) === count);
}

Deno.test("what an event has changed is read after the wait for it, not before", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice);
  const query = `query ($id: ID!, $after: String) {
    room(id: $id) { eventCursor events(after: $after, waitSeconds: 20) { events { room { memberCount } } } }
  }`;
  const { room: { eventCursor: after } } = await app.run("query ($id: ID!) { room(id: $id) { eventCursor } }", {
    id: room.id,
  }, alice);
  const answer = app.run(query, { id: room.id, after }, alice);
  await untilWaiting(app);
  await done(app, "joinRoom", { roomId: room.id }, bob);
  assert.deepEqual((await answer).room.events.events, [{ room: { memberCount: 2 } }]);
});
