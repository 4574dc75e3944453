/** Promises of several nodes on one database: it makes no difference which of them one talks to. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { signUpAdmin } from "./support/admins.ts";
import { isClustered } from "./support/databases.ts";
import { countFollowers } from "./support/counters.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { RoomFollower } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { done, refusal } from "./support/mutations.ts";
import { addDevice } from "./support/sessions.ts";
import { RawSocket } from "./support/sockets.ts";
import { Subscription } from "./support/subscriptions.ts";

/** A test on two nodes; the embedded database belongs to one. */
function test(promise: string, check: (one: TestApp, other: TestApp) => Promise<void>, env = {}): void {
  Deno.test({
    name: promise,
    ignore: !isClustered,
    async fn() {
      await using one = await startApp(env);
      await using other = await startApp({}, { joins: one });
      await check(one, other);
    },
  });
}

test("what is sent on one node arrives on the other, by itself and in order", async (one, other) => {
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  await using follower = new RoomFollower(other, bob, room, room.cursor);
  await follower.next();
  for (let n = 0; n < 20; n++) await (n % 3 === 0 ? other : one).send(alice, room, `message ${n}`);
  assertGapless(await follower.take(20), 3, 22);
});

test("one is told on any node what concerns one alone, and of the news of one's rooms", async (one, other) => {
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const { room } = await done(one, "createRoom", { name: "Secret", kind: "PRIVATE" }, alice, "room { id }");
  await using stream = new Subscription(other, bob, {
    query: `subscription { viewerEvents { events { __typename ... on RoomActivityEvent { room { id } } } } }`,
  });
  await stream.next();
  const kinds = async (kind: string) => {
    const batches = await stream.until(({ events }) => events.some((event: Any) => event.__typename === kind));
    return batches.flatMap(({ events }) => events).map((event: Any) => event.__typename);
  };
  const invite = "invites { id }";
  const { invites: [{ id: inviteId }] } = await done(
    one,
    "inviteToRoom",
    { roomId: room.id, userIds: [bob.id] },
    alice,
    invite,
  );
  assert.ok((await kinds("NotificationCreatedEvent")).includes("InviteUpdatedEvent"));
  await done(one, "acceptInvite", { inviteId }, bob);
  await kinds("RoomAddedEvent");
  await one.send(alice, room, "Welcome");
  await kinds("RoomActivityEvent");
});

test("who types on one node is seen on the other, until the message is sent", async (one, other) => {
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  await using stream = new Subscription(other, bob, {
    query: `subscription ($id: ID!) { roomTyping(roomId: $id) { room { typingUsers { id } } } }`,
    variables: { id: room.id },
  });
  const next = async () => (await inTime("a change of who types", stream.next())).room.typingUsers;
  assert.deepEqual(await next(), []);
  await done(one, "setTyping", { roomId: room.id, isTyping: true }, alice);
  assert.deepEqual(await next(), [{ id: alice.id }]);
  await one.send(alice, room, "Hello");
  assert.deepEqual(await next(), []);
});

test(
  "one is there on all nodes as long as one is connected to any, and each change is told once",
  async (one, other) => {
    const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
    const room = await one.makeRoom(alice, bob);
    await using stream = await followPresence(other, bob, room);
    const tabs = [await RawSocket.signIn(one, alice), await RawSocket.signIn(one, alice)];
    tabs.push(await RawSocket.signIn(other, alice));
    assert.deepEqual(await changeOf(stream, alice), "ONLINE");
    for (const app of [one, other]) assert.equal(await onlineIn(app, room), 2);
    // Moves from node to node: from both tabs on one to a single one on the other, and back.
    for (const tab of tabs.splice(0, 2)) await tab[Symbol.asyncDispose]();
    const back = await RawSocket.signIn(one, alice);
    for (const tab of tabs) await tab[Symbol.asyncDispose]();
    await done(one, "setPresence", { status: "AWAY" }, alice);
    assert.equal(await changeOf(stream, alice), "AWAY", "nothing was told of the tabs");
    await back[Symbol.asyncDispose]();
    assert.equal(await changeOf(stream, alice), "OFFLINE");
    for (const app of [one, other]) assert.equal(await onlineIn(app, room), 1);
  },
);

test(
  "who was connected to a node that died goes offline once, but for those who have come back",
  async (one, other) => {
    const [alice, bob, carol] = [await one.signUp("alice"), await one.signUp("bob"), await one.signUp("carol")];
    const room = await one.makeRoom(alice, bob, carol);
    await using stream = await followPresence(one, bob, room);
    await leaveBehind(other, [alice, carol]);
    await using _carol = await RawSocket.signIn(other, carol);
    const seen = [await changeOf(stream, alice, carol), await changeOf(stream, alice, carol)];
    assert.deepEqual(seen, ["ONLINE", "ONLINE"]);
    for (const app of [one, other]) assert.equal(await onlineIn(app, room), 3);
    await one.app.sql`update nodes set lease_until = now() where id = ${DEAD_NODE}`;
    assert.equal(await changeOf(stream, alice, carol), "OFFLINE");
    await done(one, "setPresence", { status: "AWAY" }, carol);
    assert.equal(await changeOf(stream, alice, carol), "AWAY");
    const [row] = await one.app.sql<{ count: number }[]>`select count(*) from connections where node_id = ${DEAD_NODE}`;
    assert.equal(row?.count, 0);
  },
);

test("after a crash of the database, which forgets who is there, nobody is shown to have gone", async (one, other) => {
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  await using stream = await followPresence(other, bob, room);
  await using _alice = await RawSocket.signIn(one, alice);
  assert.equal(await changeOf(stream, alice), "ONLINE");
  await one.app.sql`with gone as (delete from connections) delete from nodes`; // what Postgres does with unlogged tables
  const count = async () => (await other.app.sql`select from nodes`).length;
  await eventually("both nodes again", async () => await count() === 2);
  await done(one, "setPresence", { status: "AWAY" }, alice);
  assert.equal(await changeOf(stream, alice), "AWAY");
  for (const app of [one, other]) assert.equal(await onlineIn(app, room), 2);
});

const REMOVALS: Record<string, (app: TestApp, room: TestRoom, people: Record<string, Person>) => Promise<unknown>> = {
  "a kick": (app, room, { owner, target }) => done(app, "kickMember", { roomId: room.id, userId: target?.id }, owner),
  "a ban": (app, room, { owner, target }) => done(app, "banMember", { roomId: room.id, userId: target?.id }, owner),
  "a log-out": (app, _room, { target }) => app.run("mutation { logout { errors { code } } }", {}, target),
  "a change of the password": (app, _room, { device, target }) =>
    done(app, "changePassword", { currentPassword: target?.password, newPassword: "another battery staple" }, device),
  "a suspension": (app, _room, { admin, target }) =>
    done(app, "updateAccount", { userId: target?.id, isSuspended: true }, admin),
};

for (const [deed, act] of Object.entries(REMOVALS)) {
  test(`${deed} on one node ends streams and requests on the other: nothing later arrives`, async (one, other) => {
    const [owner, target, admin] = [await one.signUp("owner"), await one.signUp("target"), await signUpAdmin(one)];
    const device = await addDevice(one, target);
    const room = await one.makeRoom(owner, target);
    await using follower = new RoomFollower(other, target, room, room.cursor);
    await follower.next();
    await one.send(owner, room, "before");
    assert.equal((await follower.next()).events[0].message.content, "before");
    await act(one, room, { owner, target, admin, device });
    const rest = inTime("the end of the stream", follower.rest());
    await one.send(owner, room, "after");
    assert.deepEqual((await rest).filter(({ message }) => message), []);
    const { body } = await other.post({
      query: "query ($id: ID!) { room(id: $id) { eventCursor } }",
      variables: { id: room.id },
    }, target);
    if (deed === "a kick" || deed === "a ban") assert.equal(body.data.room.eventCursor, null);
    else assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED");
  });
}

test("a block on one node hides people from each other on the other", async (one, other) => {
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  await using _alice = await RawSocket.signIn(one, alice);
  await using stream = await followPresence(other, bob, room);
  await done(one, "setPresence", { status: "AWAY" }, alice);
  assert.equal(await changeOf(stream, alice), "AWAY");
  await done(one, "blockUser", { userId: bob.id }, alice);
  await done(one, "setPresence", { status: "ONLINE" }, alice);
  await done(one, "unblockUser", { userId: bob.id }, alice);
  await done(one, "setPresence", { status: "DO_NOT_DISTURB" }, alice);
  assert.equal(await changeOf(stream, alice), "DO_NOT_DISTURB", "what came before was hidden");
});

test("the nodes count together what one may do", async (one, other) => {
  const alice = await one.signUp("alice");
  const room = await one.makeRoom(alice);
  for (let n = 0; n < 30; n++) await (n % 2 === 0 ? one : other).send(alice, room, `message ${n}`);
  for (const app of [one, other]) {
    const [code] = await refusal(app, "sendMessage", { roomId: room.id, content: "one more" }, alice);
    assert.equal(code, "RATE_LIMITED");
  }
}, { RATE_LIMITS: "on" });

test("an admin sees how many nodes there are, and the sockets of all of them", async (one, other) => {
  const admin = await signUpAdmin(one);
  await using _here = await RawSocket.signIn(one, admin);
  await using _there = await RawSocket.signIn(other, admin);
  const ask = async () => (await one.run("{ serverStatus { instanceCount connectionCount } }", {}, admin)).serverStatus;
  await eventually("the next heartbeat", async () => (await ask()).connectionCount === 2);
  assert.deepEqual(await ask(), { instanceCount: 2, connectionCount: 2 });
});

const DEAD_NODE = "00000000-0000-4000-8000-000000000000";

/** What a node leaves that was killed with these people connected. */
async function leaveBehind({ app }: TestApp, people: readonly Person[]): Promise<void> {
  const userIds = people.map(({ id }) => findId("user", id) ?? "");
  await app.sql`
    with node as (
      insert into nodes (id, lease_until, version, sockets)
      values (${DEAD_NODE}, now() + interval '1 minute', 1, 0)
      returning id
    )
    insert into connections (node_id, user_id)
    select id, unnest(${userIds}::uuid[]) from node`;
}

async function followPresence(app: TestApp, as: Person, room: TestRoom): Promise<RawSocket> {
  const socket = await RawSocket.signIn(app, as);
  const query = `subscription ($id: ID!) { presence(target: { roomId: $id }) { user { id presenceStatus } } }`;
  socket.subscribe("presence", query, { id: room.id });
  await eventually("the stream, which sends nothing at first", async () => await countFollowers(app) === 1);
  return socket;
}

/** The next status of one of these people. */
async function changeOf(socket: RawSocket, ...people: Person[]): Promise<string> {
  while (true) {
    const { payload } = await inTime("a change of presence", socket.next("presence"));
    const { id, presenceStatus } = payload.data.presence.user;
    if (people.some((person) => person.id === id)) return presenceStatus;
  }
}

async function onlineIn(app: TestApp, room: TestRoom): Promise<number> {
  const query = `query ($id: ID!) { room(id: $id) { onlineMemberCount } }`;
  return (await app.run(query, { id: room.id })).room.onlineMemberCount;
}
