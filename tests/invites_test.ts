/** Promises of invites: who gets one, what it opens, and that it has one end only. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { expireInvites } from "../src/rooms/invites.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES } from "./support/pages.ts";
import { holdRows, readLog } from "./support/rooms.ts";
import { Subscription } from "./support/subscriptions.ts";

const INVITE = "id status room { id title memberCount eventCursor } inviter { id } invitee { id }";

Deno.test("an invite opens a private room to the one who is invited, and is told to both when it is answered", async () => {
  await using app = await startApp();
  const [owner, member, eve] = [await app.signUp("owner"), await app.signUp("member"), await app.signUp("eve")];
  const input = { kind: "PRIVATE", name: "Hidden", inviteeIds: [member.id, member.id] };
  const { room: { id: roomId } } = await done(app, "createRoom", input, owner, "room { id }");
  const [{ id: inviteId, ...shown }, ...more] = await invitesOf(app, member);
  assert.deepEqual(more, []);
  const room = { id: roomId, title: "Hidden", memberCount: 1, eventCursor: null };
  const people = { inviter: { id: owner.id }, invitee: { id: member.id } };
  assert.deepEqual(shown, { status: "PENDING", room, ...people });
  const seen = await see(app, roomId, member);
  assert.deepEqual(seen, { viewerPermissions: ["JOIN"], viewerMembership: null, invites: null });
  assert.deepEqual((await see(app, roomId, owner)).invites.nodes, [{ id: inviteId }]);
  for (const person of [owner, member, eve]) {
    const { node } = await app.run("query ($id: ID!) { node(id: $id) { id } }", { id: inviteId }, person);
    assert.deepEqual(node, person === eve ? null : { id: inviteId });
  }
  const [notification] = await app.app.sql<Any[]>`select * from notifications`;
  assert.deepEqual([notification.kind, notification.userId, notification.actorId, notification.inviteId], [
    ...["INVITE", findId("user", member.id), findId("user", owner.id), findId("invite", inviteId)],
  ]);
  for (const [name, answer] of Object.entries({ acceptInvite: "NOT_FOUND", declineInvite: "NOT_FOUND" })) {
    for (const person of [owner, eve]) {
      assert.deepEqual(await refusal(app, name, { inviteId }, person), [answer, "inviteId"], name);
    }
    assert.deepEqual(await refusal(app, name, { inviteId: "garbage" }, member), ["NOT_FOUND", "inviteId"]);
  }
  assert.deepEqual(await refusal(app, "revokeInvite", { inviteId }, eve), ["NOT_FOUND", "inviteId"]);
  assert.deepEqual(await refusal(app, "revokeInvite", { inviteId }, member), ["FORBIDDEN", "inviteId"]);

  const select = `invite { ${INVITE} } roomEdge { node { id } } member { role user { id } }`;
  const accepted = await done(app, "acceptInvite", { inviteId }, member, select);
  const { eventCursor: _, ...inside } = accepted.invite.room;
  assert.deepEqual(inside, { id: roomId, title: "Hidden", memberCount: 2 });
  assert.deepEqual([accepted.invite.status, accepted.roomEdge.node.id, accepted.member.user.id], [
    ...["ACCEPTED", roomId, member.id],
  ]);
  assert.deepEqual(await done(app, "acceptInvite", { inviteId }, member, select), accepted, "twice is once");
  assert.deepEqual(await refusal(app, "declineInvite", { inviteId }, member), ["NOT_FOUND", "inviteId"]);
  assert.deepEqual(await refusal(app, "revokeInvite", { inviteId }, owner), ["NOT_FOUND", "inviteId"]);
  assert.deepEqual((await readLog(app, { id: roomId })).map(([kind]) => kind), ["MEMBER_JOINED", "MEMBER_JOINED"]);
  assert.deepEqual(await newsOf(app, member), [
    "INVITE_UPDATED",
    "NOTIFICATION_CREATED",
    "ROOM_ADDED",
    "INVITE_UPDATED",
  ]);
  assert.deepEqual(await newsOf(app, owner), ["ROOM_ADDED", "INVITE_UPDATED"]);

  const [first] = (await invite(app, owner, roomId, [eve])).invites;
  assert.equal(
    (await done(app, "declineInvite", { inviteId: first.id }, eve, "invite { status }")).invite.status,
    "DECLINED",
  );
  await done(app, "declineInvite", { inviteId: first.id }, eve);
  assert.equal((await see(app, roomId, eve))?.viewerPermissions, undefined, "the room is out of sight again");
  const [second] = (await invite(app, owner, roomId, [eve])).invites;
  assert.equal(
    (await done(app, "revokeInvite", { inviteId: second.id }, owner, "invite { status }")).invite.status,
    "REVOKED",
  );
  await done(app, "revokeInvite", { inviteId: second.id }, owner);
  assert.deepEqual(await refusal(app, "acceptInvite", { inviteId: second.id }, eve), ["NOT_FOUND", "inviteId"]);
  assert.deepEqual(await refusal(app, "joinRoom", { roomId }, eve), ["NOT_FOUND", "roomId"]);
  const [third] = (await invite(app, owner, roomId, [eve])).invites;
  await done(app, "joinRoom", { roomId }, eve, "member { id }");
  const { node } = await app.run("query ($id: ID!) { node(id: $id) { ... on RoomInvite { status } } }", {
    id: third.id,
  }, eve);
  assert.deepEqual(node, { status: "ACCEPTED" }, "joining accepts");
});

Deno.test("those who can be invited are, and for each of the others it is said why not", async () => {
  await using app = await startApp();
  const names = ["owner", "member", "invited", "banned", "blocker", "blocked", "free"];
  const people = await Promise.all(names.map((name) => app.signUp(name)));
  const [owner, member, invited, banned, blocker, blocked, free] = people as [
    ...[Person, Person, Person, Person, Person, Person, Person],
  ];
  const { id: roomId } = await app.makeRoom(owner, member);
  await invite(app, owner, roomId, [invited]);
  await done(app, "banMember", { roomId, userId: banned.id }, owner);
  for (const [one, other] of [[blocker, owner], [owner, blocked]] as const) {
    await app.app.sql`insert into blocks (blocker_id, blocked_id)
      values (${findId("user", one.id)}, ${findId("user", other.id)})`;
  }
  const unknown = roomId.replace("room", "user");
  const userIds = [member, invited, banned, blocker, blocked, free, free].map(({ id }) => id);
  const input = { roomId, userIds: ["garbage", unknown, ...userIds] };
  const { invites, errors } = await mutate(app, "inviteToRoom", input, owner, "invites { invitee { id } }");
  assert.deepEqual(invites, [{ invitee: { id: free.id } }]);
  assert.deepEqual(errors.map(({ code, path }: Any) => [code, ...path]), [
    ["NOT_FOUND", "userIds", "0"],
    ["NOT_FOUND", "userIds", "1"],
    ["ALREADY_MEMBER", "userIds", "2"],
    ["ALREADY_MEMBER", "userIds", "3"],
    ["BANNED", "userIds", "4"],
    ["BLOCKED", "userIds", "5"],
    ["BLOCKED", "userIds", "6"],
  ]);
  assert.deepEqual(await done(app, "inviteToRoom", { roomId, userIds: [] }, owner, "invites { id }"), {
    invites: [],
    errors: [],
  });
  const many = { roomId, userIds: Array(51).fill(free.id) };
  assert.deepEqual(await refusal(app, "inviteToRoom", many, owner), ["TOO_LONG", "userIds", 50]);
  assert.deepEqual(await refusal(app, "inviteToRoom", { roomId, userIds: [] }, member), ["FORBIDDEN", "roomId"]);
  assert.deepEqual(await refusal(app, "inviteToRoom", { roomId, userIds: [] }, free), ["NOT_A_MEMBER", "roomId"]);
  for (
    const [ids, answer] of [[["garbage"], "NOT_FOUND"], [[free.id, blocked.id], "BLOCKED"], [
      [owner.id],
      "ALREADY_MEMBER",
    ]]
  ) {
    const draft = { name: "New", slug: "never-made", inviteeIds: ids };
    assert.deepEqual(await refusal(app, "createRoom", draft, owner), [
      answer,
      "inviteeIds",
      String((ids?.length ?? 0) - 1),
    ]);
  }
  assert.deepEqual(await app.run('{ roomBySlug(slug: "never-made") { id } }', {}, owner), { roomBySlug: null });
  const pending = await invitesOf(app, invited);
  await done(app, "banMember", { roomId, userId: invited.id }, owner);
  const inviteId = pending[0]?.id;
  assert.deepEqual(await refusal(app, "acceptInvite", { inviteId }, invited), ["NOT_FOUND", "inviteId"]);
  assert.deepEqual((await see(app, roomId, invited)).viewerPermissions, [], "the ban has taken the invite back");
});

Deno.test("an invite that nobody answers in time is over at once, and its people are told", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp("owner"), await app.signUp("member")];
  const ids: string[] = [];
  for (const name of ["one", "two", "three"]) {
    await done(app, "createRoom", { kind: "PRIVATE", name, inviteeIds: [member.id] }, owner);
    ids.unshift((await invitesOf(app, member))[0]?.id ?? "");
  }
  const document = `query (${PAGE_VARIABLES}) { viewer { invites(${PAGE_ARGS}) { ${PAGE} } } }`;
  const read = async (page: object) => (await app.run(document, page, member)).viewer.invites;
  for (const size of [1, 2, 3, 4]) await assertPages(read, ids, size);
  const [{ id: inviteId, room: { id: roomId } }] = await invitesOf(app, member) as [Any];
  await app.app.sql`update invites set expires_at = now() where id = ${findId("invite", inviteId)}`;
  await assertPages(read, ids.slice(1), 2);
  const { node } = await app.run("query ($id: ID!) { node(id: $id) { ... on RoomInvite { status } } }", {
    id: inviteId,
  }, member);
  assert.equal(node.status, "EXPIRED");
  assert.equal(await see(app, roomId, member), null);
  for (const name of ["acceptInvite", "declineInvite"]) {
    assert.deepEqual(await refusal(app, name, { inviteId }, member), ["NOT_FOUND", "inviteId"]);
  }
  assert.deepEqual(await refusal(app, "revokeInvite", { inviteId }, owner), ["NOT_FOUND", "inviteId"]);
  const before = await newsOf(app, member);
  assert.equal(await expireInvites(app.app), 1);
  assert.equal(await expireInvites(app.app), 0);
  assert.deepEqual(await newsOf(app, member), [...before, "INVITE_UPDATED"]);
  const [renewed] = (await invite(app, owner, roomId, [member])).invites;
  await app.app.sql`update invites set expires_at = now() where id = ${findId("invite", renewed.id)}`;
  const { invites: [next], errors } = await invite(app, owner, roomId, [member]);
  assert.deepEqual(errors, [], "one that is over does not stand in the way of the next");
  await done(app, "acceptInvite", { inviteId: next.id }, member);
});

Deno.test("who made an invite and was removed from the room since sees it no more, and is not told what becomes of it", async () => {
  await using app = await startApp();
  const [owner, helper, eve] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const { room: { id: roomId } } = await done(
    app,
    "createRoom",
    { kind: "PRIVATE", name: "Hidden", inviteeIds: [helper.id] },
    owner,
    "room { id }",
  );
  await done(app, "joinRoom", { roomId }, helper);
  await done(app, "updateMember", { roomId, userId: helper.id, role: "MODERATOR" }, owner);
  const [{ id: inviteId }] = (await invite(app, helper, roomId, [eve])).invites as [Any];
  const events = "{ events { __typename ... on InviteUpdatedEvent { invite { room { name memberCount } } } } }";
  await using stream = new Subscription(app, helper, { query: `subscription { viewerEvents ${events} }` });
  await stream.next();
  await done(app, "kickMember", { roomId, userId: helper.id }, owner);
  const { node } = await app.run("query ($id: ID!) { node(id: $id) { id } }", { id: inviteId }, helper);
  assert.equal(node, null);
  await done(app, "acceptInvite", { inviteId }, eve);
  await done(app, "setPresence", { status: "AWAY" }, helper);
  const batches = await stream.until(({ events }) =>
    events.some(({ __typename }: Any) => __typename === "ViewerUpdatedEvent")
  );
  const names = batches.flatMap(({ events }: Any) => events.map(({ __typename }: Any) => __typename));
  assert.ok(!names.includes("InviteUpdatedEvent"), names.join());
});

Deno.test("of accepting and taking back at once only one happens", async () => {
  await using app = await startApp();
  const [owner, member] = [await app.signUp("owner"), await app.signUp("member")];
  for (const kind of ["PRIVATE", "PUBLIC"]) {
    const { room: { id: roomId } } = await done(app, "createRoom", { kind, name: "Room" }, owner, "room { id }");
    for (let round = 0; round < 5; round++) {
      const { invites: [{ id: inviteId }] } = await invite(app, owner, roomId, [member]);
      const held = holdRows(app, "rooms", { id: roomId });
      const answers = await Promise.all([
        mutate(app, "acceptInvite", { inviteId }, member),
        mutate(app, "revokeInvite", { inviteId }, owner),
        mutate(app, "acceptInvite", { inviteId }, member),
      ]);
      await held;
      const [accepted, revoked, again] = answers.map(({ errors: [error] }) => error?.code ?? "done");
      assert.equal(accepted, again);
      assert.deepEqual([accepted, revoked].sort(), ["NOT_FOUND", "done"]);
      const isIn = (await see(app, roomId, member))?.viewerMembership ?? null;
      assert.equal(isIn !== null, accepted === "done");
      await done(app, "leaveRoom", { roomId }, member);
    }
    await readLog(app, { id: roomId });
  }
});

async function invite(app: TestApp, by: Person, roomId: string, people: readonly Person[]): Promise<Any> {
  return await done(app, "inviteToRoom", { roomId, userIds: people.map(({ id }) => id) }, by, `invites { ${INVITE} }`);
}

async function invitesOf(app: TestApp, person: Person): Promise<Any[]> {
  return (await app.run(`{ viewer { invites { nodes { ${INVITE} } } } }`, {}, person)).viewer.invites.nodes;
}

async function see(app: TestApp, id: string, as: Person): Promise<Any> {
  const document = `query ($id: ID!) {
    room(id: $id) { viewerPermissions viewerMembership { id } invites { nodes { id } } }
  }`;
  return (await app.run(document, { id }, as)).room;
}

/** The kinds of all events in the person's own log. Checks that they are numbered without gaps. */
async function newsOf({ app }: TestApp, { id }: Person): Promise<string[]> {
  const userId = findId("user", id);
  const events = await app.sql<Any[]>`select seq, kind from viewer_events where user_id = ${userId} order by seq`;
  assert.deepEqual(events.map(({ seq }) => seq), events.map((_, index) => index + 1));
  return events.map(({ kind }) => kind);
}
