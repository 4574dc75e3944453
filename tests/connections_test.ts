/** When the server closes a socket: the end of a session, of a token, of patience, of room, or of the node. */
import { strict as assert } from "node:assert";
import { decodeJwt, SignJWT } from "jose";
import { startApp } from "./support/app.ts";
import { countStatements } from "./support/counters.ts";
import { eventually } from "./support/eventually.ts";
import { ROOM_EVENTS } from "./support/follow.ts";
import { addDevice } from "./support/sessions.ts";
import { RawSocket } from "./support/sockets.ts";

const LOGOUT = "mutation { logout { endedSessionId } }";
const SESSIONS = "{ viewer { sessions { id isCurrent } } }";
const REVOKE = "mutation ($input: RevokeSessionInput!) { revokeSession(input: $input) { endedSessionId } }";

Deno.test("signing out closes all sockets of that session, and none of another", async () => {
  await using app = await startApp();
  const phone = await app.signUp("alice");
  const laptop = await addDevice(app, phone);
  await using first = await RawSocket.signIn(app, phone);
  await using second = await RawSocket.signIn(app, phone);
  await using other = await RawSocket.signIn(app, laptop);
  await app.run(LOGOUT, {}, phone);
  assert.equal((await first.closed).code, 4403);
  assert.equal((await second.closed).code, 4403);
  assert.equal((await other.ask("{ viewer { user { id } } }")).data.viewer.user.id, phone.id);
});

Deno.test("one can sign out over the socket itself, which is closed then", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.signIn(app, await app.signUp("alice"));
  socket.subscribe("logout", LOGOUT);
  assert.equal((await socket.closed).code, 4403);
});

Deno.test("ending a session from another device closes its sockets", async () => {
  await using app = await startApp();
  const phone = await app.signUp("alice");
  const laptop = await addDevice(app, phone);
  await using lost = await RawSocket.signIn(app, phone);
  await using kept = await RawSocket.signIn(app, laptop);
  const { viewer } = await app.run(SESSIONS, {}, laptop);
  const { id: sessionId } = viewer.sessions.find(({ isCurrent }: { isCurrent: boolean }) => !isCurrent);
  assert.equal((await kept.ask(REVOKE, { input: { sessionId } })).data.revokeSession.endedSessionId, sessionId);
  assert.equal((await lost.closed).code, 4403);
  assert.equal((await kept.ask("{ viewer { user { id } } }")).data.viewer.user.id, phone.id);
});

Deno.test("a socket is closed when its access token expires", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const token = await new SignJWT({ ...decodeJwt(alice.token), exp: Math.floor(Date.now() / 1000) + 2 })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt" })
    .sign(new TextEncoder().encode(app.app.jwtSecret));
  await using socket = await RawSocket.signIn(app, { ...alice, token });
  socket.subscribe("stream", ROOM_EVENTS, { roomId: room.id });
  await socket.next("stream");
  assert.equal((await socket.closed).code, 4403);
});

Deno.test("a socket that does not say who it is within 10 s is closed", async () => {
  await using app = await startApp();
  await using socket = await RawSocket.open(app);
  await using patient = await RawSocket.connect(app);
  assert.equal((await socket.closed).code, 4408);
  assert.deepEqual(await patient.ask("{ __typename }"), { data: { __typename: "Query" } });
});

Deno.test("a person has so many sockets and no more; the one that is too many is told to come later", async () => {
  await using app = await startApp({ MAX_CONNECTIONS_PER_USER: "2" });
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  await using first = await RawSocket.signIn(app, alice);
  await using second = await RawSocket.signIn(app, alice);
  {
    await using third = await RawSocket.open(app);
    third.send({ type: "connection_init", payload: { token: alice.token } });
    assert.equal((await third.closedUnless("connection_ack")).code, 1013);
  }
  await using _other = await RawSocket.signIn(app, bob);
  assert.equal((await first.ask("{ viewer { user { id } } }")).data.viewer.user.id, alice.id);
  second.send(new Uint8Array(1)); // the server closes it, so the place is free before the test hears of it
  assert.equal((await second.closed).code, 1003);
  await using _third = await RawSocket.signIn(app, alice);
});

Deno.test("a full server tells the next client to come later, and has room again when one has gone", async () => {
  await using app = await startApp({ MAX_CONNECTIONS: "2" });
  await using first = await RawSocket.connect(app);
  await using second = await RawSocket.connect(app);
  {
    await using third = await RawSocket.open(app);
    assert.equal((await third.closed).code, 1013);
  }
  assert.deepEqual(await first.ask("{ __typename }"), { data: { __typename: "Query" } });
  second.send(new Uint8Array(1));
  assert.equal((await second.closed).code, 1003);
  await using _third = await RawSocket.connect(app);
});

Deno.test("a node that drains sends every client elsewhere, whatever it is doing", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using silent = await RawSocket.open(app);
  await using nobody = await RawSocket.connect(app);
  await using follower = await RawSocket.signIn(app, alice);
  follower.subscribe("stream", ROOM_EVENTS, { roomId: room.id });
  await follower.next("stream");
  const drained = app.parley.server.drain();
  for (const socket of [silent, nobody, follower]) assert.equal((await socket.closed).code, 1012);
  await drained;
});

Deno.test("a node that drains answers what it has begun", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const before = await countStatements(app);
  // While the database is busy, what is asked of it waits.
  const busy = app.app.sql`select count(*) from generate_series(1, 2000000)`.execute();
  const contents = Array.from({ length: 20 }, (_, index) => `Message ${index}`);
  const sending = contents.map((content) => app.send(alice, room, content));
  await eventually("the server has begun all", async () => await countStatements(app) > before + contents.length);
  await Promise.all([busy, app.parley.server.drain()]);
  assert.deepEqual((await Promise.all(sending)).map(({ content }) => content), contents);
});
