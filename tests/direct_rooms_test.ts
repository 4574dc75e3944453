/** Promises of direct conversations: one for each set of people, without rank and for always. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { countExecutions } from "./support/counters.ts";
import { done, refusal } from "./support/mutations.ts";
import { readLog } from "./support/rooms.ts";
import { RawSocket } from "./support/sockets.ts";

const ROOM =
  "room { id kind name slug title memberCount viewerPermissions members { nodes { role } } } roomEdge { node { id } }";

Deno.test("however many open the conversation of the same people at once, there is one, and all are told of it once", async () => {
  await using app = await startApp();
  const people = await Promise.all(["ann", "bob", "cleo"].map((name) => app.signUp(name)));
  const [ann, bob, cleo] = people as [Person, Person, Person];
  for (const [person, displayName] of [[ann, "Ann"], [bob, "bob"], [cleo, "Cleo"]] as const) {
    await done(app, "updateProfile", { displayName }, person);
  }
  const open = async (by: Person, others: Person[]) => {
    const userIds = others.map(({ id }) => id);
    return (await done(app, "openDirectRoom", { userIds }, by, ROOM)).room;
  };
  const tries = Array.from({ length: 10 }, (_, index) => index % 2 ? open(ann, [bob]) : open(bob, [ann, bob, ann]));
  const rooms = await Promise.all(tries);
  assert.equal(new Set(rooms.map(({ id }) => id)).size, 1);
  const [, pair] = rooms;
  assert.deepEqual({ ...pair, id: "" }, {
    id: "",
    kind: "DIRECT",
    name: null,
    slug: null,
    title: "bob",
    memberCount: 2,
    viewerPermissions: ["READ", "SEND_MESSAGES", "ATTACH_FILES", "MENTION_EVERYONE", "PIN_MESSAGES"],
    members: { nodes: [{ role: "MEMBER" }, { role: "MEMBER" }] },
  });
  assert.equal(rooms[0].title, "Ann");
  const group = await open(cleo, [bob, ann]);
  assert.notEqual(group.id, pair.id);
  assert.equal(group.title, "Ann, bob");
  assert.deepEqual((await readLog(app, pair)).map(([kind]) => kind), ["MEMBER_JOINED", "MEMBER_JOINED"]);
  const [{ count }] = await app.app.sql<Any>`select count(*) from viewer_events where kind = 'ROOM_ADDED'`;
  assert.equal(count, 5);
  const document = `query ($id: ID!) { user(id: $id) { viewerDirectRoom { id } } }`;
  const directOf = async (as: Person, { id }: Person) => (await app.run(document, { id }, as)).user.viewerDirectRoom;
  assert.deepEqual([await directOf(ann, bob), await directOf(bob, ann)], [{ id: pair.id }, { id: pair.id }]);
  assert.deepEqual([await directOf(ann, cleo), await directOf(ann, ann)], [null, null]);
  const seen = await app.run("query ($id: ID!) { room(id: $id) { id } node(id: $id) { id } }", { id: pair.id }, cleo);
  assert.deepEqual(seen, { room: null, node: null });
  assert.deepEqual(await refusal(app, "joinRoom", { roomId: pair.id }, cleo), ["NOT_FOUND", "roomId"]);

  // Each follower is told the names of the others, in one execution for all.
  await using sockets = new AsyncDisposableStack();
  const streams = [];
  for (const person of people) {
    const socket = sockets.use(await RawSocket.signIn(app, person));
    socket.subscribe("titles", TITLES, { roomId: group.id });
    await socket.next("titles");
    streams.push(socket);
  }
  const before = await countExecutions(app);
  await app.send(bob, group, "hi");
  const titles = [];
  for (const socket of streams) titles.push((await socket.next("titles")).payload.data.roomEvents.events[0].room.title);
  assert.deepEqual(titles, ["bob, Cleo", "Ann, Cleo", "Ann, bob"]);
  assert.equal(await countExecutions(app) - before, 1);
});

Deno.test("a conversation is refused with the reason, and what rooms have is not to be had in it", async () => {
  await using app = await startApp();
  const [ann, bob, eve] = [await app.signUp("ann"), await app.signUp("bob"), await app.signUp("eve")];
  const { room: { id: roomId } } = await done(app, "openDirectRoom", { userIds: [bob.id] }, ann, "room { id }");
  await block(app, bob, ann);
  await block(app, ann, eve);
  const { room } = await done(app, "openDirectRoom", { userIds: [bob.id] }, ann, "room { id }");
  assert.equal(room.id, roomId, "one that is there stays, whoever blocks whom");
  const unknown = roomId.replace("room", "user");
  const many = Array.from({ length: 9 }, (_, index) => unknown.slice(0, -1) + index);
  const refused: [userIds: string[], answer: (string | number)[]][] = [
    [[], ["INVALID_INPUT", "userIds"]],
    [[ann.id, ann.id], ["INVALID_INPUT", "userIds"]],
    [[bob.id, "garbage"], ["NOT_FOUND", "userIds", "1"]],
    [[ann.id, unknown], ["NOT_FOUND", "userIds", "1"]],
    [many, ["TOO_LONG", "userIds", 8]],
    [[eve.id], ["BLOCKED", "userIds", "0"]],
    [[bob.id, eve.id], ["BLOCKED", "userIds", "0"]],
  ];
  for (const [userIds, answer] of refused) {
    assert.deepEqual(await refusal(app, "openDirectRoom", { userIds }, ann), answer, userIds.join());
  }
  await app.app.sql`update users set deleted_at = now() where id = ${findId("user", eve.id)}`;
  assert.deepEqual(await refusal(app, "openDirectRoom", { userIds: [eve.id] }, bob), ["NOT_FOUND", "userIds", "0"]);
  assert.deepEqual(await refusal(app, "createRoom", { kind: "DIRECT", name: "no" }, ann), ["INVALID_INPUT", "kind"]);
  const forbidden: [name: string, input: object, path: string][] = [
    ["leaveRoom", {}, "roomId"],
    ["kickMember", { userId: bob.id }, "userId"],
    ["banMember", { userId: bob.id }, "roomId"],
    ["unbanMember", { userId: bob.id }, "roomId"],
    ["inviteToRoom", { userIds: [eve.id] }, "roomId"],
    ["updateRoom", { topic: "ours" }, "roomId"],
    ["deleteRoom", {}, "roomId"],
    ["updateMember", { userId: ann.id, role: "OWNER" }, "userId"],
    ["updateMember", { userId: bob.id, mutedUntil: null }, "userId"],
  ];
  for (const [name, input, path] of forbidden) {
    assert.deepEqual(await refusal(app, name, { roomId, ...input }, ann), ["FORBIDDEN", path], name);
  }
  assert.equal((await readLog(app, { id: roomId })).length, 2);
});

const TITLES = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events { room { id title topic } } } }`;

async function block({ app }: TestApp, one: Person, other: Person): Promise<void> {
  await app.sql`insert into blocks (blocker_id, blocked_id) values (${findId("user", one.id)}, ${
    findId("user", other.id)
  })`;
}
