/** Promises of bans: who is kept out stays out, and is let in again when the ban is over. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { holdRows, readLog } from "./support/rooms.ts";

const BAN = "ban { id reason expiresAt user { id } moderator { id } room { id } } removedMemberId room { memberCount }";

Deno.test("a ban removes, keeps out and is lifted; only those who may ban see it, and only of those they outrank", async () => {
  await using app = await startApp();
  const names = ["owner", "moderator", "member", "stranger"];
  const [owner, moderator, member, stranger] = await Promise.all(names.map((name) => app.signUp(name))) as Person[] & [
    Person,
    Person,
    Person,
    Person,
  ];
  const room = await app.makeRoom(owner, moderator, member);
  const roomId = room.id;
  await done(app, "updateMember", { roomId, userId: moderator.id, role: "MODERATOR" }, owner);
  const refused: [by: Person, name: string, input: object, answer: (string | number)[]][] = [
    [member, "banMember", { userId: stranger.id }, ["FORBIDDEN", "roomId"]],
    [stranger, "banMember", { userId: member.id }, ["NOT_A_MEMBER", "roomId"]],
    [moderator, "banMember", { userId: owner.id }, ["FORBIDDEN", "userId"]],
    [moderator, "banMember", { userId: moderator.id }, ["INVALID_INPUT", "userId"]],
    [owner, "banMember", { userId: "garbage" }, ["NOT_FOUND", "userId"]],
    [owner, "banMember", { userId: roomId.replace("room", "user") }, ["NOT_FOUND", "userId"]],
    [owner, "banMember", { userId: member.id, reason: "r".repeat(501) }, ["TOO_LONG", "reason", 500]],
    [owner, "banMember", { userId: member.id, expiresAt: "2001-01-01T00:00:00Z" }, ["INVALID_INPUT", "expiresAt"]],
    [owner, "banMember", { userId: member.id, expiresAt: "9999-12-31T23:59:59-12:00" }, ["INVALID_INPUT", "expiresAt"]],
    [owner, "banMember", { userId: member.id, deleteMessagesHours: 169 }, [
      "INVALID_INPUT",
      "deleteMessagesHours",
      168,
    ]],
    [owner, "banMember", { userId: member.id, deleteMessagesHours: -1 }, ["INVALID_INPUT", "deleteMessagesHours", 168]],
    [owner, "unbanMember", { userId: member.id }, ["NOT_FOUND", "userId"]],
    [member, "unbanMember", { userId: stranger.id }, ["FORBIDDEN", "roomId"]],
  ];
  const before = await readLog(app, room);
  for (const [by, name, input, answer] of refused) {
    assert.deepEqual(await refusal(app, name, { roomId, ...input }, by), answer, `${name} ${JSON.stringify(input)}`);
  }
  assert.deepEqual(await readLog(app, room), before);

  const { viewerMembership: { id: memberId } } = await see(app, room, member);
  const ban = await done(app, "banMember", { roomId, userId: member.id, reason: " spam " }, moderator, BAN);
  const { id } = ban.ban;
  const made = { id, reason: "spam", expiresAt: null, user: { id: member.id }, room: { id: roomId } };
  assert.deepEqual(ban, {
    ban: { ...made, moderator: { id: moderator.id } },
    removedMemberId: memberId,
    room: { memberCount: 2 },
    errors: [],
  });
  assert.deepEqual((await readLog(app, room)).slice(before.length), [["MEMBER_REMOVED", member.id]]);
  assert.deepEqual(await refusal(app, "joinRoom", { roomId }, member), ["BANNED", "roomId"]);
  assert.deepEqual((await see(app, room, member)).viewerPermissions, []);
  assert.deepEqual((await see(app, room, stranger)).viewerPermissions, ["JOIN"]);
  const again = await done(
    app,
    "banMember",
    { roomId, userId: member.id, expiresAt: "2999-01-01T00:00:00Z" },
    owner,
    BAN,
  );
  assert.deepEqual(again, {
    ban: { ...made, reason: null, expiresAt: "2999-01-01T00:00:00.000Z", moderator: { id: owner.id } },
    removedMemberId: null,
    room: { memberCount: 2 },
    errors: [],
  });
  const outside = (await done(app, "banMember", { roomId, userId: stranger.id }, moderator, BAN)).ban;
  for (const person of [owner, moderator]) {
    assert.deepEqual((await see(app, room, person)).bans.nodes, [{ id: outside.id }, { id }], "newest first");
    assert.deepEqual(await nodeOf(app, id, person), { id });
  }
  for (const person of [member, stranger]) {
    assert.equal((await see(app, room, person)).bans, null);
    assert.equal(await nodeOf(app, id, person), null);
  }
  // Time goes by: the ban is over, and its place is free for another.
  await app.app.sql`update bans set expires_at = now() where id = ${findId("ban", id)}`;
  assert.deepEqual((await see(app, room, owner)).bans.nodes, [{ id: outside.id }]);
  assert.equal(await nodeOf(app, id, owner), null);
  await done(app, "joinRoom", { roomId }, member);
  assert.deepEqual(await refusal(app, "unbanMember", { roomId, userId: member.id }, owner), ["NOT_FOUND", "userId"]);
  const next = await done(app, "banMember", { roomId, userId: member.id }, owner, BAN);
  assert.notEqual(next.ban.id, id);
  const lifted = await done(app, "unbanMember", { roomId, userId: member.id }, moderator, "removedBanId room { id }");
  assert.deepEqual(lifted, { removedBanId: next.ban.id, room: { id: roomId }, errors: [] });
  await done(app, "joinRoom", { roomId }, member);
  const told = await app.app.sql<Any[]>`
    select kind, data from viewer_events where user_id = ${findId("user", member.id)} order by seq`;
  assert.deepEqual(told.map(({ kind, data }) => data?.reason ?? kind), [
    ...["ROOM_ADDED", "BANNED", "ROOM_ADDED", "BANNED", "ROOM_ADDED"],
  ]);
});

Deno.test("whoever is banned and joins at the same moment is not in the room afterwards", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp("owner"), await app.signUp("member")];
  const room = await app.makeRoom(owner);
  const input = { roomId: room.id, userId: member.id };
  const join = () => mutate(app, "joinRoom", { roomId: room.id }, member);
  const ban = () => mutate(app, "banMember", input, owner);
  for (let round = 0; round < 12; round++) {
    const held = holdRows(app, "rooms", room);
    const answers = await Promise.all(round % 2 ? [join(), ban()] : [ban(), join()]);
    await held;
    const codes = answers.map(({ errors: [error] }) => error?.code ?? "done");
    assert.equal(codes[round % 2], "done", "the ban");
    const joined = codes[1 - round % 2] ?? "";
    assert.ok(["BANNED", "NOT_A_MEMBER", "done"].includes(joined), joined);
    const { viewerMembership, memberCount } = await see(app, room, member);
    assert.deepEqual([viewerMembership, memberCount], [null, 1], `round ${round}`);
    await done(app, "unbanMember", input, owner);
  }
  let isIn = false;
  for (const [kind] of (await readLog(app, room)).slice(1)) {
    assert.equal(kind, isIn ? "MEMBER_REMOVED" : "MEMBER_JOINED");
    isIn = !isIn;
  }
});

Deno.test("a ban that cleans up leaves tombstones of what was written of late, each with its event", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp("owner"), await app.signUp("member")];
  const [room, other] = [await app.makeRoom(owner, member), await app.makeRoom(owner, member)];
  const old = await app.send(member, room, "three hours ago");
  await app.app.sql`update messages set created_at = now() - interval '3 hours' where id = ${
    findId("message", old.id)
  }`;
  const kept = [old, await app.send(owner, room, "by another"), await app.send(member, other, "elsewhere")];
  const spam = [await app.send(member, room, "spam"), await app.send(member, room, "more spam")];
  // More than one statement deletes.
  await app.app.sql`
    insert into messages (id, room_id, seq, author_id, content, request_hash)
    select gen_random_uuid(), room_id, -n, author_id, 'flood', ''
    from messages, generate_series(1, 1000) as n
    where id = ${findId("message", spam[0]?.id ?? "")}`;
  await using follower = new RoomFollower(app, owner, room, spam[1]?.cursor);
  await follower.next();
  await done(app, "banMember", { roomId: room.id, userId: member.id, deleteMessagesHours: 2 }, owner);
  const events = await follower.take(1003);
  assert.deepEqual(events.map(({ __typename }) => __typename), [
    "MemberRemovedEvent",
    ...Array(1002).fill("MessageDeletedEvent"),
  ]);
  for (const { message } of events.slice(1)) assert.equal(message.content, null);
  assert.deepEqual(events.slice(-2).map(({ message }) => message.id), spam.map(({ id }) => id), "oldest first");
  assert.equal(new Set(events.slice(1).map(({ message }) => message.id)).size, 1002);
  await readLog(app, room);
  const { nodes } = await app.run("query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { content } } }", {
    ids: kept.map(({ id }) => id),
  }, owner);
  assert.deepEqual(nodes.map(({ content }: Any) => content), kept.map(({ content }) => content));
  // The server died before it had deleted everything: banning again goes on.
  await app.app.sql`update messages set content = 'left', deleted_at = null where id = ${
    findId("message", spam[0]?.id ?? "")
  }`;
  await done(app, "banMember", { roomId: room.id, userId: member.id, deleteMessagesHours: 168 }, owner);
  assert.equal((await follower.take(2)).length, 2);
});

async function see(app: TestApp, { id }: TestRoom, as: Person): Promise<Any> {
  const document = `query ($id: ID!) {
    room(id: $id) { memberCount viewerPermissions viewerMembership { id } bans { nodes { id } } }
  }`;
  return (await app.run(document, { id }, as)).room;
}

async function nodeOf(app: TestApp, id: string, as: Person): Promise<Any> {
  return (await app.run("query ($id: ID!) { node(id: $id) { id } }", { id }, as)).node;
}
