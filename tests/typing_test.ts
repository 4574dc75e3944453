/** Promises of typing indicators: they come at once, go by themselves, and are nobody's business who may not see them. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { blockUser } from "../src/users/blocks.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { countExecutions } from "./support/counters.ts";
import { inTime } from "./support/eventually.ts";
import { done, refusal } from "./support/mutations.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const TYPING = `subscription ($roomId: ID!) { roomTyping(roomId: $roomId) { room { id typingUsers { id } } } }`;
const QUERY = `query ($id: ID!) { room(id: $id) { typingUsers { id } } }`;
const TIMEOUT_MS = 6_000;

Deno.test("who types is shown at once and until the message is sent, the tab is closed, or time is over", async () => {
  await using app = await startApp();
  const people = await Promise.all(["alice", "bob", "carol", "stranger"].map((name) => app.signUp(name)));
  const [alice, bob, carol, stranger] = people as [Person, Person, Person, Person];
  const room = await app.makeRoom(alice, bob, carol);
  await using watcher = await RawSocket.signIn(app, alice);
  watcher.subscribe("typing", TYPING, { roomId: room.id });
  const next = () => typistsOf(watcher, "typing");
  assert.deepEqual(await next(), [], "the first value comes at once");

  const before = Date.now();
  const fades = await type(app, bob, room);
  assert.ok(fades >= before + TIMEOUT_MS && fades <= Date.now() + TIMEOUT_MS);
  assert.deepEqual(await next(), [bob.id]);
  await type(app, carol, room);
  assert.deepEqual(await next(), [bob.id, carol.id], "the newest is the last");
  const renewed = await type(app, bob, room);
  assert.ok(renewed === fades || renewed >= fades + 2_000, "others are told at most once in 2 s");
  for (const [viewer, seen] of [[alice, [bob, carol]], [bob, [carol]], [carol, [bob]]] as const) {
    assert.deepEqual(await query(app, room, viewer), seen.map(({ id }) => id), "everyone but oneself");
  }
  assert.deepEqual(await query(app, room), [], "nobody in particular sees nothing");
  assert.deepEqual(await query(app, room, stranger), [], "nor does a stranger");

  await app.send(carol, room, "Hello");
  assert.deepEqual(await next(), [bob.id], "a renewal is no change, a message is");
  const stopped = await done(app, "setTyping", { roomId: room.id, isTyping: false }, bob, "expiresAt");
  assert.equal(stopped.expiresAt, null);
  assert.deepEqual(await query(app, room, alice), []);
  assert.deepEqual(await next(), []);
  await done(app, "setTyping", { roomId: room.id, isTyping: false }, bob);

  for (const end of ["leaveRoom", "kickMember"]) {
    await type(app, carol, room);
    assert.deepEqual(await next(), [carol.id]);
    const [input, as] = end === "leaveRoom" ? [{}, carol] : [{ userId: carol.id }, alice];
    await done(app, end, { roomId: room.id, ...input }, as);
    assert.deepEqual(await query(app, room, alice), [], end);
    assert.deepEqual(await next(), [], end);
    await done(app, "joinRoom", { roomId: room.id }, carol);
  }

  const [phone, laptop] = [await RawSocket.signIn(app, carol), await RawSocket.signIn(app, carol)];
  await type(app, bob, room);
  assert.deepEqual(await next(), [bob.id]);
  await phone[Symbol.asyncDispose]();
  await type(app, carol, room);
  assert.deepEqual(await next(), [bob.id, carol.id], "there is another connection");
  await laptop[Symbol.asyncDispose]();
  assert.deepEqual(await next(), [bob.id], "the last connection takes the indicator with it, before it fades");
  assert.deepEqual(await inTime("the end of the indicator", next()), []);

  await done(app, "leaveRoom", { roomId: room.id }, bob);
  await using other = await RawSocket.signIn(app, carol);
  other.subscribe("typing", TYPING, { roomId: room.id });
  assert.deepEqual(await typistsOf(other, "typing"), []);
  await done(app, "kickMember", { roomId: room.id, userId: carol.id }, alice);
  assert.equal((await inTime("the end of the stream", other.next("typing"))).type, "complete");
});

Deno.test("only members who may write can type, and nobody sees it across a block", async () => {
  await using app = await startApp();
  const people = await Promise.all(["alice", "bob", "carol", "dave"].map((name) => app.signUp(name)));
  const [alice, bob, carol, dave] = people as [Person, Person, Person, Person];
  const room = await app.makeRoom(alice, bob, carol);
  await blockUser(app.app, findId("user", bob.id) ?? "", findId("user", carol.id));
  await using sockets = new AsyncDisposableStack();
  const readers: [Person, RawSocket][] = [];
  for (const person of [alice, bob, carol]) {
    const socket = sockets.use(await RawSocket.signIn(app, person));
    socket.subscribe("typing", TYPING, { roomId: room.id });
    assert.deepEqual(await typistsOf(socket, "typing"), []);
    readers.push([person, socket]);
  }
  await type(app, carol, room);
  for (const [person, socket] of readers) {
    assert.deepEqual(await typistsOf(socket, "typing"), person === alice ? [carol.id] : [], person.username);
  }
  assert.deepEqual(await query(app, room, bob), []);
  assert.deepEqual(await query(app, room, alice), [carol.id]);

  await app.app.sql`update members set muted_until = now() + interval '1 hour' where user_id = ${
    findId("user", carol.id)
  }`;
  const input = { roomId: room.id };
  assert.deepEqual(await refusal(app, "setTyping", input, carol), ["FORBIDDEN", "roomId"]);
  assert.deepEqual(await refusal(app, "setTyping", input, dave), ["NOT_A_MEMBER", "roomId"]);
  assert.deepEqual(await refusal(app, "setTyping", { roomId: "room_nothing" }, dave), ["NOT_FOUND", "roomId"]);
  await app.app.sql`update rooms set kind = 'PRIVATE' where slug = ${room.slug}`;
  assert.deepEqual(await refusal(app, "setTyping", input, dave), ["NOT_FOUND", "roomId"]);
  await using socket = await RawSocket.signIn(app, dave);
  assert.deepEqual(codesOf(await socket.ask(TYPING, input)), [["NOT_FOUND"]]);
  const { body } = await app.post({ query: `mutation { setTyping(input: { roomId: "${room.id}" }) { expiresAt } }` });
  assert.deepEqual(codesOf(body), [["UNAUTHENTICATED"]]);
});

Deno.test("a change is executed once for 500 who follow it, and once more for the one who types", async () => {
  const [others, each] = [5, 100];
  await using app = await startApp();
  const people = await Promise.all(Array.from({ length: others + 1 }, () => app.signUp()));
  const [typist, ...rest] = people;
  assert.ok(typist);
  const room = await app.makeRoom(typist, ...rest);
  await using sockets = new AsyncDisposableStack();
  const streams: { person: Person; next: () => Promise<string[]> }[] = [];
  for (const person of people) {
    const socket = sockets.use(await RawSocket.signIn(app, person));
    for (let n = 0; n < (person === typist ? 1 : each); n++) {
      socket.subscribe(`s${n}`, TYPING, { roomId: room.id });
      const next = () => typistsOf(socket, `s${n}`);
      assert.deepEqual(await next(), []);
      streams.push({ person, next });
    }
  }
  const before = await countExecutions(app);
  await type(app, typist, room);
  for (const { person, next } of streams) assert.deepEqual(await next(), person === typist ? [] : [typist.id]);
  assert.equal(await countExecutions(app) - before, 2);
});

/** Says that the person types; when the indicator fades, in milliseconds since 1970. */
async function type(app: TestApp, as: Person, room: TestRoom): Promise<number> {
  const { expiresAt } = await done(app, "setTyping", { roomId: room.id }, as, "expiresAt");
  return Date.parse(expiresAt);
}

async function typistsOf(socket: RawSocket, id: string): Promise<string[]> {
  const { type, payload } = await inTime(`who types, for ${id}`, socket.next(id));
  assert.equal(type, "next", JSON.stringify(payload));
  assert.equal(payload.errors, undefined, JSON.stringify(payload.errors));
  return payload.data.roomTyping.room.typingUsers.map((user: Any) => user.id);
}

async function query(app: TestApp, { id }: TestRoom, as?: Person): Promise<string[]> {
  return (await app.run(QUERY, { id }, as)).room.typingUsers.map((user: Any) => user.id);
}
