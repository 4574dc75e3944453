/** Promises of being in a room: coming, going, and being sent away. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { logSince } from "./support/rooms.ts";

const JOINED = "room { memberCount } member { id role user { id } }";

Deno.test("joining twice, or many times at once, is joining once", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const join = (room: TestRoom, person: Person) => done(app, "joinRoom", { roomId: room.id }, person, JOINED);
  const room = await app.makeRoom(alice);
  const { member, room: joined } = await join(room, bob);
  assert.deepEqual([member.role, member.user.id, joined.memberCount], ["MEMBER", bob.id, 2]);
  assert.deepEqual(await join(room, bob), { member, room: joined, errors: [] });
  assert.equal((await join(room, alice)).member.role, "OWNER");
  assert.deepEqual(await logSince(app, room), [["MEMBER_JOINED", bob.id]]);
  for (let round = 0; round < 12; round++) {
    const busy = await app.makeRoom(alice);
    const atOnce = await Promise.all(Array.from({ length: 8 }, () => join(busy, bob)));
    assert.equal(new Set(atOnce.map((payload) => payload.member.id)).size, 1);
    assert.equal((await join(busy, bob)).room.memberCount, 2);
    assert.deepEqual(await logSince(app, busy), [["MEMBER_JOINED", bob.id]]);
  }
});

Deno.test("leaving twice, or without having been in, is no error and happens once", async () => {
  await using app = await startApp();
  const [alice, bob, eve] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  const room = await app.makeRoom(alice, bob);
  const select = "leftRoomId room { memberCount viewerMembership { id } eventCursor }";
  const left = { leftRoomId: room.id, room: { memberCount: 1, viewerMembership: null, eventCursor: null }, errors: [] };
  const leave = (person: Person) => done(app, "leaveRoom", { roomId: room.id }, person, select);
  const atOnce = await Promise.all([leave(bob), leave(bob), leave(bob)]);
  for (const payload of [...atOnce, await leave(bob), await leave(eve)]) assert.deepEqual(payload, left);
  assert.deepEqual(await logSince(app, room), [["MEMBER_REMOVED", bob.id]]);
  assert.deepEqual(await refusal(app, "leaveRoom", { roomId: "garbage" }, bob), ["NOT_FOUND", "roomId"]);
  assert.deepEqual(await refusal(app, "joinRoom", { roomId: eve.id }, bob), ["NOT_FOUND", "roomId"]);
});

Deno.test("a private room that one leaves is gone from sight", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await app.app.sql`update rooms set kind = 'PRIVATE'`;
  const payload = await done(app, "leaveRoom", { roomId: room.id }, bob, "leftRoomId room { id }");
  assert.deepEqual(payload, { leftRoomId: room.id, room: null, errors: [] });
});

Deno.test("a room always keeps an owner: the last one cannot leave, and of two at once only one can", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const input = { roomId: room.id };
  assert.deepEqual(await refusal(app, "leaveRoom", input, alice), ["LAST_OWNER", "roomId"]);
  assert.deepEqual(await logSince(app, room), [], "the refusal burned no number");
  await done(app, "updateMember", { ...input, userId: bob.id, role: "OWNER" }, alice);
  const payloads = await Promise.all([alice, bob].map((person) => mutate(app, "leaveRoom", input, person)));
  assert.deepEqual(payloads.map(({ errors: [error] }) => error?.code ?? "left").sort(), ["LAST_OWNER", "left"]);
  assert.deepEqual((await logSince(app, room)).map(([kind]) => kind), ["MEMBER_UPDATED", "MEMBER_REMOVED"]);
});

Deno.test("a full room refuses the next one, and has a place again when somebody leaves", async () => {
  await using app = await startApp();
  const [alice, bob, eve] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  const room = await app.makeRoom(alice, bob);
  await app.app.sql`update rooms set member_count = 5000`;
  assert.deepEqual(await refusal(app, "joinRoom", { roomId: room.id }, eve), ["ROOM_FULL", "roomId"]);
  await done(app, "joinRoom", { roomId: room.id }, bob);
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  await done(app, "joinRoom", { roomId: room.id }, eve);
});

Deno.test("people remove only those whom they outrank", async () => {
  await using app = await startApp();
  const names = ["owner", "moderator", "other_moderator", "member", "other_member", "stranger"];
  const people = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await app.signUp(name)] as const)),
  );
  const person = (name: string) => people[name] as Person;
  const room = await app.makeRoom(...names.slice(0, -1).map(person) as [Person]);
  for (const name of ["moderator", "other_moderator"]) {
    const input = { roomId: room.id, userId: person(name).id, role: "MODERATOR" };
    await done(app, "updateMember", input, person("owner"));
  }
  const promoted = await logSince(app, room);
  const answers: [actor: string, target: string, answer: string[]][] = [
    ["member", "other_member", ["FORBIDDEN", "userId"]],
    ["member", "moderator", ["FORBIDDEN", "userId"]],
    ["member", "owner", ["FORBIDDEN", "userId"]],
    ["member", "member", ["FORBIDDEN", "userId"]],
    ["moderator", "other_moderator", ["FORBIDDEN", "userId"]],
    ["moderator", "owner", ["FORBIDDEN", "userId"]],
    ["moderator", "moderator", ["FORBIDDEN", "userId"]],
    ["owner", "owner", ["FORBIDDEN", "userId"]],
    ["owner", "stranger", ["NOT_FOUND", "userId"]],
    ["member", "stranger", ["NOT_FOUND", "userId"]],
    ["stranger", "member", ["NOT_A_MEMBER", "roomId"]],
  ];
  for (const [actor, target, answer] of answers) {
    const input = { roomId: room.id, userId: person(target).id };
    assert.deepEqual(await refusal(app, "kickMember", input, person(actor)), answer, `${actor} kicks ${target}`);
  }
  for (const userId of ["", "garbage", room.id]) {
    const input = { roomId: room.id, userId };
    assert.deepEqual(await refusal(app, "kickMember", input, person("owner")), ["NOT_FOUND", "userId"]);
  }
  assert.deepEqual(await logSince(app, room), promoted, "nothing else has happened");
  for (const [actor, target, left] of [["moderator", "member", 4], ["owner", "moderator", 3]] as const) {
    const membership = await membershipOf(app, room, person(target));
    const input = { roomId: room.id, userId: person(target).id };
    const payload = await done(app, "kickMember", input, person(actor), "removedMemberId room { memberCount }");
    assert.deepEqual(payload, { removedMemberId: membership, room: { memberCount: left }, errors: [] });
    assert.equal(await membershipOf(app, room, person(target)), null);
    assert.deepEqual(await refusal(app, "kickMember", input, person("owner")), ["NOT_FOUND", "userId"]);
  }
});

Deno.test("one who was removed may join again, as an ordinary member", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await done(app, "updateMember", { roomId: room.id, userId: bob.id, role: "MODERATOR" }, alice);
  const first = await membershipOf(app, room, bob);
  await done(app, "kickMember", { roomId: room.id, userId: bob.id }, alice);
  assert.deepEqual(await refusal(app, "sendMessage", { roomId: room.id, content: "hi" }, bob), [
    "NOT_A_MEMBER",
    "roomId",
  ]);
  const { member } = await done(app, "joinRoom", { roomId: room.id }, bob, JOINED);
  assert.equal(member.role, "MEMBER");
  assert.notEqual(member.id, first);
  const [event] = await app.app.sql<Any[]>`
    select actor_id, subject_id, data
    from room_events
    where kind = 'MEMBER_REMOVED'`;
  assert.deepEqual([event.actorId, event.subjectId], [findId("user", alice.id), findId("user", bob.id)]);
  assert.equal(event.data.reason, "KICKED");
});

Deno.test("any text will do as the reason of a removal, or is refused as a form error", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const query = `mutation ($input: KickMemberInput!) { kickMember(input: $input) { errors { code path } } }`;
  for (const reason of [null, "", "spam 🦊", `x${"🦊".repeat(300)}`, "NUL \0", "half \ud83e", "r".repeat(100_000)]) {
    const input = { roomId: room.id, userId: bob.id, reason };
    const { body } = await app.post({ query, variables: { input } }, alice);
    assert.equal(body.errors, undefined, `${reason?.slice(0, 10)}: ${JSON.stringify(body.errors)}`);
    for (const { path } of body.data.kickMember.errors) assert.deepEqual(path, ["reason"]);
    await done(app, "joinRoom", { roomId: room.id }, bob);
  }
});

async function membershipOf(app: TestApp, room: TestRoom, person: Person): Promise<string | null> {
  const document = "query ($id: ID!) { room(id: $id) { viewerMembership { id } } }";
  return (await app.run(document, { id: room.id }, person)).room.viewerMembership?.id ?? null;
}
