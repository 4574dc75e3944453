/** Promises of presence: who is there is seen by those who may know it, live and in queries, and by nobody else. */
import { strict as assert } from "node:assert";
import { encodeId, findId } from "../src/lib/ids.ts";
import { nodes } from "../src/live/nodes.ts";
import { blockUser } from "../src/users/blocks.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { countExecutions, countFollowers } from "./support/counters.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { done } from "./support/mutations.ts";
import { RawSocket } from "./support/sockets.ts";
import { Subscription } from "./support/subscriptions.ts";
import { codesOf } from "./support/transports.ts";

const PRESENCE = `subscription ($target: PresenceTarget!) {
  presence(target: $target) { user { id presenceStatus lastSeenAt } }
}`;
const USERS = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on User { presenceStatus lastSeenAt } } }`;

Deno.test("who comes, changes the status and goes is shown live to those who share a room, and a reloaded tab is not", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await using watcher = await RawSocket.signIn(app, bob);
  watcher.subscribe("room", PRESENCE, { target: { roomId: room.id } });
  watcher.subscribe("users", PRESENCE, { target: { userIds: [alice.id, "user_nobody", bob.id, alice.id] } });
  await untilFollowed(app, 2);
  const next = async () => {
    const update = await updateOf(watcher, "room", alice);
    assert.deepEqual(await updateOf(watcher, "users", alice), update, "a room's stream and a user's say the same");
    return update;
  };
  const online = async () =>
    (await app.run(`query ($id: ID!) { room(id: $id) { onlineMemberCount } }`, { id: room.id }))
      .room.onlineMemberCount;
  assert.equal(await online(), 1);
  assert.deepEqual(await see(app, bob, alice), { presenceStatus: "OFFLINE", lastSeenAt: null });

  const first = await RawSocket.signIn(app, alice);
  assert.deepEqual(await next(), { id: alice.id, presenceStatus: "ONLINE", lastSeenAt: null });
  assert.deepEqual(await see(app, bob, alice), { presenceStatus: "ONLINE", lastSeenAt: null });
  assert.equal(await online(), 2);

  // A second connection takes over from the first: nothing is sent before the next change.
  const second = await EventStream.follow(app, alice, room);
  await second.next();
  await first[Symbol.asyncDispose]();
  for (const status of ["AWAY", "DO_NOT_DISTURB"]) {
    const { user } = await done(app, "setPresence", { status }, alice, "user { presenceStatus lastSeenAt }");
    assert.deepEqual(user, { presenceStatus: status, lastSeenAt: null });
    assert.equal((await next()).presenceStatus, status);
  }
  await done(app, "setPresence", { status: "DO_NOT_DISTURB" }, alice);
  assert.deepEqual(await countOwnEvents(app, alice), 2, "the other devices are told of each change, once");

  // Invisible looks like gone.
  await done(app, "setPresence", { status: "OFFLINE" }, alice);
  const hidden = await next();
  assert.equal(hidden.presenceStatus, "OFFLINE");
  assert.ok(hidden.lastSeenAt);
  assert.deepEqual(await see(app, bob, alice), { presenceStatus: "OFFLINE", lastSeenAt: hidden.lastSeenAt });
  assert.deepEqual(await see(app, alice, alice), { presenceStatus: "OFFLINE", lastSeenAt: hidden.lastSeenAt });
  assert.equal(await online(), 1);
  await done(app, "setPresence", { status: "ONLINE" }, alice);
  assert.equal((await next()).presenceStatus, "ONLINE");

  // A reload: the last connection goes and the next one comes. Nobody is told, and the status that follows is the next.
  await second[Symbol.asyncDispose]();
  await untilFollowed(app, 2);
  const reloaded = await RawSocket.signIn(app, alice);
  await done(app, "setPresence", { status: "AWAY" }, alice);
  assert.equal((await next()).presenceStatus, "AWAY");
  await reloaded[Symbol.asyncDispose]();
  const gone = await inTime("the end of the grace", next());
  assert.equal(gone.presenceStatus, "OFFLINE");
  assert.ok(gone.lastSeenAt > hidden.lastSeenAt, "last seen is when the last connection went");
  assert.deepEqual(await see(app, bob, alice), { presenceStatus: "OFFLINE", lastSeenAt: gone.lastSeenAt });
  assert.deepEqual(
    await see(app, alice, alice),
    { presenceStatus: "AWAY", lastSeenAt: null },
    "one's own status stays",
  );

  await done(app, "setPresence", { status: "ONLINE" }, alice);
  await using _again = await RawSocket.signIn(app, alice);
  assert.equal((await next()).presenceStatus, "ONLINE", "a status that is set while away is told to nobody");
  await done(app, "kickMember", { roomId: room.id, userId: bob.id }, alice);
  assert.equal((await inTime("the end", watcher.next("room"))).type, "complete");
  assert.deepEqual(await see(app, bob, alice), { presenceStatus: "OFFLINE", lastSeenAt: null });
  for (const person of [alice, bob]) await done(app, "setPresence", { status: "AWAY" }, person);
  const { id } = await updateOf(watcher, "users", alice, bob);
  assert.equal(id, bob.id, "strangers are told nothing");
  await done(app, "joinRoom", { roomId: room.id }, bob);
  await done(app, "setPresence", { status: "ONLINE" }, alice);
  assert.equal((await updateOf(watcher, "users", alice)).presenceStatus, "ONLINE");
});

Deno.test("presence is hidden from strangers and across a block, in queries, in streams and in what the room's followers get", async () => {
  await using app = await startApp();
  const people = await Promise.all(["alice", "bob", "carol", "dave"].map((name) => app.signUp(name)));
  const [alice, bob, carol, dave] = people as [Person, Person, Person, Person];
  const room = await app.makeRoom(alice, bob, carol);
  await blockUser(app.app, findId("user", carol.id) ?? "", findId("user", alice.id));
  await using sockets = new AsyncDisposableStack();
  const follow = async (person: Person, id: string, query: string, variables: object) => {
    const socket = sockets.use(await RawSocket.signIn(app, person));
    socket.subscribe(id, query, variables);
    return socket;
  };
  const MESSAGES = `subscription ($roomId: ID!) {
    roomEvents(roomId: $roomId) { events { ... on MessageSentEvent { message { author { presenceStatus lastSeenAt } } } } }
  }`;
  const readers = new Map<Person, RawSocket>();
  for (const person of [alice, bob, carol]) {
    const socket = await follow(person, "events", MESSAGES, { roomId: room.id });
    await socket.next("events");
    readers.set(person, socket);
  }
  const [seen, hidden] = [{ presenceStatus: "ONLINE", lastSeenAt: null }, {
    presenceStatus: "OFFLINE",
    lastSeenAt: null,
  }];
  assert.deepEqual(await see(app, bob, alice), seen);
  assert.deepEqual(await see(app, bob, carol), seen);
  for (const [viewer, user] of [[carol, alice], [alice, carol], [dave, alice], [alice, dave]] as const) {
    assert.deepEqual(await see(app, viewer, user), hidden);
  }
  const before = await countExecutions(app);
  await app.send(alice, room, "Hello");
  for (const [person, expected] of [[alice, seen], [bob, seen], [carol, hidden]] as const) {
    const { payload } = await inTime("the message", (readers.get(person) as RawSocket).next("events"));
    assert.deepEqual(payload.data.roomEvents.events, [{ message: { author: expected } }], person.username);
  }
  assert.equal(await countExecutions(app) - before, 1, "still executed once for all");

  const watching = new Map<Person, RawSocket>();
  for (const person of [bob, carol]) {
    watching.set(person, await follow(person, "presence", PRESENCE, { target: { roomId: room.id } }));
  }
  await untilFollowed(app, 5);
  await done(app, "setPresence", { status: "AWAY" }, alice);
  await done(app, "setPresence", { status: "AWAY" }, bob);
  assert.equal(await firstAway(watching.get(bob)), alice.id);
  assert.equal(await firstAway(watching.get(carol)), bob.id, "nothing of the one who is blocked");

  const codes = async (target: object, as?: Person) => {
    await using socket = as ? await RawSocket.signIn(app, as) : await RawSocket.connect(app);
    return codesOf(await socket.ask(PRESENCE, { target }));
  };
  assert.deepEqual(await codes({ userIds: Array(201).fill(alice.id) }, bob), [["BAD_USER_INPUT", 200]]);
  assert.deepEqual(await codes({ roomId: room.id }, dave), [["NOT_A_MEMBER"]]);
  assert.deepEqual(await codes({ roomId: "room_nothing" }, dave), [["NOT_FOUND"]]);
  assert.deepEqual(await codes({ roomId: room.id, userIds: [] }, bob), [["BAD_USER_INPUT"]]);
  assert.deepEqual(await codes({ roomId: room.id }), [["UNAUTHENTICATED"]]);
});

Deno.test("followers of a room are not shown that one who has left it is there", async () => {
  await using app = await startApp();
  const [owner, bob, carol] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(owner, bob, carol);
  const { id } = await app.send(carol, room, "Bye");
  await using device = new Subscription(app, carol, { query: "subscription { viewerEvents { cursor } }" });
  await device.next();
  await done(app, "leaveRoom", { roomId: room.id }, carol);
  const author = "author { presenceStatus lastSeenAt }";
  const query = `subscription ($id: ID!) {
    roomEvents(roomId: $id) { events { ... on MessagePinnedEvent { message { ${author} } } } }
  }`;
  await using stream = new Subscription(app, bob, { query, variables: { id: room.id } });
  await stream.next();
  await done(app, "pinMessage", { messageId: id }, owner);
  const { events: [{ message }] } = await stream.next();
  assert.deepEqual(message.author, { presenceStatus: "OFFLINE", lastSeenAt: null });
});

Deno.test("a change of who is there that was stored without an answer is noticed, and made good", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await using _alice = await RawSocket.signIn(app, alice);
  const here = async () => {
    const rows = await app.app.sql<{ userId: string }[]>`select user_id from connections`;
    return rows.map(({ userId }) => encodeId("user", userId)).join();
  };
  await eventually("alice", async () => await here() === alice.id);
  // As the statement of the server itself: bob has come, and was gone when the connection to the database was back; alice
  // had gone, and has come back meanwhile.
  await app.app.sql`
    with node as (
      update nodes
      set version = version + 1
      returning id
    ), left_it as (
      delete from connections
      where user_id = ${findId("user", alice.id)}
    )
    insert into connections (node_id, user_id)
    select id, ${findId("user", bob.id)} from node`;
  await eventually("the truth", async () => await here() === alice.id);
  const { room: { onlineMemberCount } } = await app.run("query ($id: ID!) { room(id: $id) { onlineMemberCount } }", {
    id: room.id,
  });
  assert.equal(onlineMemberCount, 1);
});

Deno.test("a change is executed once for all who watch the room, and a stopping server notes who was there", async () => {
  const watchers = 100;
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);
  {
    await using socket = await RawSocket.signIn(app, bob);
    for (let n = 0; n < watchers; n++) socket.subscribe(`s${n}`, PRESENCE, { target: { roomId: room.id } });
    await untilFollowed(app, watchers);
    await done(app, "setPresence", { status: "AWAY" }, bob);
    for (let n = 0; n < watchers; n++) {
      while ((await updateOf(socket, `s${n}`, bob)).presenceStatus !== "AWAY");
    }
    const before = await countExecutions(app);
    await using _alice = await RawSocket.signIn(app, alice);
    for (let n = 0; n < watchers; n++) {
      assert.equal((await updateOf(socket, `s${n}`, alice)).presenceStatus, "ONLINE");
    }
    assert.equal(await countExecutions(app) - before, 1);
    await app.app.once(nodes)[Symbol.asyncDispose]();
    const [row] = await app.app.sql<{ wasSeen: boolean }[]>`
      select last_seen_at is not null as was_seen
      from users
      where id = ${findId("user", alice.id)}`;
    assert.ok(row?.wasSeen);
  }
  await untilFollowed(app, 0);
});

/** The next update about one of these people. Others may come late: that the watchers themselves have come. */
async function updateOf(socket: RawSocket, id: string, ...people: Person[]): Promise<Any> {
  while (true) {
    const { type, payload } = await inTime(`an update of ${id}`, socket.next(id));
    assert.equal(type, "next", JSON.stringify(payload));
    assert.equal(payload.errors, undefined, JSON.stringify(payload.errors));
    const { user } = payload.data.presence;
    if (people.some((person) => person.id === user.id)) return user;
  }
}

/** Who is the first to be shown away. */
async function firstAway(socket?: RawSocket): Promise<string> {
  assert.ok(socket);
  while (true) {
    const { payload } = await inTime("somebody away", socket.next("presence"));
    const { id, presenceStatus } = payload.data.presence.user;
    if (presenceStatus === "AWAY") return id;
  }
}

async function see(app: TestApp, as: Person, user: Person): Promise<Any> {
  return (await app.run(USERS, { ids: [user.id] }, as)).nodes[0];
}

async function countOwnEvents({ app: { sql } }: TestApp, person: Person): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)
    from viewer_events
    where user_id = ${findId("user", person.id)}
      and kind = 'VIEWER_UPDATED'`;
  return row?.count ?? 0;
}

/** Waits until so many streams are open: this one sends nothing at first. */
async function untilFollowed(app: TestApp, count: number): Promise<void> {
  await eventually(`${count} followers`, async () => await countFollowers(app) === count);
}
