/** Promises of changing a room, and of what people are told that they may do in it. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { countStatements } from "./support/counters.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { logSince } from "./support/rooms.ts";

const SETTINGS = "room { kind name slug title topic slowModeSeconds }";

Deno.test("a room changes where it is told to, everybody in it is told, and what changes nothing is no event", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp("owner"), await app.signUp("member")];
  const room = await app.makeRoom(owner, member);
  const roomId = room.id;
  const change = async (input: object, by = owner) =>
    (await done(app, "updateRoom", { roomId, ...input }, by, SETTINGS)).room;
  await using follower = new RoomFollower(app, member, room);
  await follower.next();
  const { name, slug } = await change({});
  const plain = { kind: "PUBLIC", name, slug, title: name, topic: null, slowModeSeconds: 0 };
  assert.deepEqual(await change({ topic: " Tea 🦊 " }), { ...plain, topic: "Tea 🦊" });
  const all = { kind: "PRIVATE", name: "Tea room", slug: "tea", topic: "Tea 🦊", slowModeSeconds: 21_600 };
  assert.deepEqual(await change({ ...all, name: " Tea room ", slug: " TEA " }), { ...all, title: "Tea room" });
  assert.deepEqual(await change(all), { ...all, title: "Tea room" });
  const cleared = { ...all, title: "Tea room", topic: null, slowModeSeconds: 0 };
  assert.deepEqual(await change({ topic: null, slowModeSeconds: null }), cleared);
  assert.deepEqual(await logSince(app, room), Array(3).fill(["ROOM_UPDATED", roomId]));
  const kinds = (await follower.take(3)).map(({ __typename }) => __typename);
  assert.deepEqual(kinds, Array(3).fill("RoomUpdatedEvent"));

  await done(app, "createRoom", { name: "Other", slug: "taken" }, owner);
  const refused: [input: object, answer: (string | number)[]][] = [
    [{ kind: "DIRECT" }, ["INVALID_INPUT", "kind"]],
    [{ kind: null }, ["INVALID_INPUT", "kind"]],
    [{ name: null }, ["EMPTY", "name"]],
    [{ name: "  " }, ["EMPTY", "name"]],
    [{ name: "n".repeat(81) }, ["TOO_LONG", "name", 80]],
    [{ topic: "t".repeat(501) }, ["TOO_LONG", "topic", 500]],
    [{ topic: "a\0b" }, ["INVALID_INPUT", "topic"]],
    [{ slug: null }, ["EMPTY", "slug"]],
    [{ slug: "two words" }, ["INVALID_INPUT", "slug"]],
    [{ slug: "Taken" }, ["SLUG_TAKEN", "slug"]],
    [{ slowModeSeconds: -1 }, ["INVALID_INPUT", "slowModeSeconds", 21_600]],
    [{ slowModeSeconds: 21_601 }, ["INVALID_INPUT", "slowModeSeconds", 21_600]],
  ];
  for (const [input, answer] of refused) {
    assert.deepEqual(await refusal(app, "updateRoom", { roomId, ...input }, owner), answer, JSON.stringify(input));
  }
  assert.deepEqual(await refusal(app, "updateRoom", { roomId, topic: "mine" }, member), ["FORBIDDEN", "roomId"]);
  assert.equal((await logSince(app, room)).length, 3, "a refusal burns no number");
  await done(app, "updateMember", { roomId, userId: member.id, role: "MODERATOR" }, owner);
  assert.equal((await change({ topic: "mine" }, member)).topic, "mine");
});

Deno.test("one who loses the permission at the same moment either changes the room before or not at all", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp("owner"), await app.signUp("member")];
  const room = await app.makeRoom(owner, member);
  const give = (role: string) => done(app, "updateMember", { roomId: room.id, userId: member.id, role }, owner);
  for (let round = 0; round < 8; round++) {
    await give("MODERATOR");
    const topic = `round ${round}`;
    const [changed] = await Promise.all([
      mutate(app, "updateRoom", { roomId: room.id, topic }, member),
      give("MEMBER"),
    ]);
    const events = (await logSince(app, room)).slice(-2).map(([kind]) => kind);
    const isDone = changed.errors.length === 0;
    if (!isDone) assert.equal(changed.errors[0].code, "FORBIDDEN");
    assert.deepEqual(events, isDone ? ["ROOM_UPDATED", "MEMBER_UPDATED"] : ["MEMBER_UPDATED", "MEMBER_UPDATED"]);
  }
});

Deno.test("everybody is told what they may do in each room of a list, with a bounded number of statements", async () => {
  await using app = await startApp();
  const [owner, person] = [await app.signUp("owner"), await app.signUp("person")];
  const rooms: string[] = [];
  for (let index = 0; index < 8; index++) rooms.push((await app.makeRoom(owner)).id);
  const [open, joined, moderated, owned, banned, former] = rooms as [string, string, string, string, string, string];
  for (const roomId of [joined, moderated, owned]) await done(app, "joinRoom", { roomId }, person);
  await done(app, "updateMember", { roomId: moderated, userId: person.id, role: "MODERATOR" }, owner);
  await done(app, "updateMember", { roomId: owned, userId: person.id, role: "OWNER" }, owner);
  await done(app, "banMember", { roomId: banned, userId: person.id }, owner);
  await done(app, "banMember", { roomId: former, userId: person.id }, owner);
  await app.app.sql`update bans set expires_at = now() where room_id = ${findId("room", former)}`;
  const member = ["READ", "SEND_MESSAGES", "ATTACH_FILES"];
  const moderator = [
    ...[...member, "MENTION_EVERYONE", "PIN_MESSAGES", "INVITE_MEMBERS", "KICK_MEMBERS", "BAN_MEMBERS"],
    ...["MANAGE_MESSAGES", "MANAGE_ROOM"],
  ];
  const expected = new Map<string, string[]>([
    [open, ["JOIN"]],
    [joined, member],
    [moderated, moderator],
    [owned, [...moderator, "MANAGE_ROLES", "DELETE_ROOM"]],
    [banned, []],
    [former, ["JOIN"]],
  ]);
  const browse = async (first: number, as?: Person) => {
    const before = await countStatements(app);
    const document = `query ($first: Int) {
      publicRooms(first: $first) { nodes { id title viewerMembership { id } viewerPermissions viewerNotificationLevel } }
    }`;
    const { publicRooms: { nodes } } = await app.run(document, { first }, as);
    return { nodes, statements: await countStatements(app) - before };
  };
  const { nodes, statements } = await browse(8, person);
  assert.equal(nodes.length, 8);
  for (const { id, viewerPermissions, viewerNotificationLevel } of nodes) {
    assert.deepEqual(viewerPermissions, expected.get(id) ?? ["JOIN"]);
    assert.equal(viewerNotificationLevel, [joined, moderated, owned].includes(id) ? "ALL" : "NONE");
  }
  assert.equal(statements, (await browse(2, person)).statements, "as many for eight rooms as for two");
  for (const { viewerPermissions } of (await browse(8)).nodes) assert.deepEqual(viewerPermissions, []);
});

Deno.test("one chooses what a room tells, for oneself alone, and the own other devices hear of it", async () => {
  await using app = await startApp();
  const [owner, member, eve] = [await app.signUp("owner"), await app.signUp("member"), await app.signUp("eve")];
  const room = await app.makeRoom(owner, member);
  const set = async (level: string) => {
    const input = { roomId: room.id, level };
    return (await done(app, "updateRoomNotifications", input, member, "room { viewerNotificationLevel }")).room;
  };
  for (const level of ["NONE", "MENTIONS", "MENTIONS", "ALL"]) {
    assert.deepEqual(await set(level), { viewerNotificationLevel: level });
  }
  const [{ news }] = await app.app.sql<Any>`
    select count(*) as news from viewer_events where kind = 'VIEWER_UPDATED' and user_id = ${
    findId("user", member.id)
  }`;
  assert.equal(news, 3);
  const document = "query ($id: ID!) { room(id: $id) { viewerNotificationLevel } }";
  await set("NONE");
  assert.deepEqual(await app.run(document, { id: room.id }, owner), { room: { viewerNotificationLevel: "ALL" } });
  assert.deepEqual(await app.run(document, { id: room.id }), { room: { viewerNotificationLevel: "NONE" } });
  const refused = await refusal(app, "updateRoomNotifications", { roomId: room.id, level: "ALL" }, eve);
  assert.deepEqual(refused, ["NOT_A_MEMBER", "roomId"]);
  assert.deepEqual(await logSince(app, room), [], "the others are told nothing");
});
