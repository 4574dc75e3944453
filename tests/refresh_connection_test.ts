/** Promises about a socket that outlives the token it was opened with: it goes on as it is, as long as its session may. */
import { strict as assert } from "node:assert";
import { decodeJwt } from "jose";
import { announceEndedSessions } from "../src/auth/revocations.ts";
import { signAccessToken } from "../src/auth/tokens.ts";
import { findId } from "../src/lib/ids.ts";
import { type Person, startApp, type TestApp } from "./support/app.ts";
import { ROOM_EVENTS } from "./support/follow.ts";
import { addDevice, refresh } from "./support/sessions.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const REFRESH = `mutation ($input: RefreshConnectionInput!) {
  refreshConnection(input: $input) { accessTokenExpiresAt errors { code path message } }
}`;

Deno.test("a socket that is refreshed goes on without a gap, and is closed only when the new token expires", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using socket = await RawSocket.signIn(app, await withToken(app, alice, { seconds: 2 }));
  await using stale = await RawSocket.signIn(app, await withToken(app, alice, { seconds: 2 }));
  socket.subscribe("stream", ROOM_EVENTS, { roomId: room.id });
  await socket.next("stream");
  const newer = await withToken(app, alice, { seconds: 5 });
  assert.equal(await refreshed(socket, newer), expiryOf(newer));
  assert.equal((await stale.closed).code, 4403); // the first token has expired
  await app.send(alice, room, "Afterwards");
  assert.equal((await socket.next("stream")).payload.data.roomEvents.events[0].message.content, "Afterwards");
  assert.equal((await socket.ask("{ viewer { user { id } } }")).data.viewer.user.id, alice.id);
  assert.equal((await socket.closed).code, 4403);
  assert.ok(Date.now() >= Date.parse(expiryOf(newer)));
});

Deno.test("the tokens of refreshSession refresh a socket, again and again", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await using socket = await RawSocket.signIn(app, alice);
  for (let person = alice, n = 0; n < 3; n++) {
    person = await refresh(app, person);
    assert.equal(await refreshed(socket, person), expiryOf(person));
  }
});

Deno.test("a token that expires before the present one shortens nothing", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await using socket = await RawSocket.signIn(app, await withToken(app, alice, { seconds: 600 }));
  const older = await withToken(app, alice, { seconds: 1 });
  const expiry = Date.parse(await refreshed(socket, older));
  assert.ok(expiry > Date.parse(expiryOf(older)) + 300_000);
  await using other = await RawSocket.signIn(app, older);
  assert.equal((await other.closed).code, 4403); // the older token has expired
  assert.equal((await socket.ask("{ viewer { user { id } } }")).data.viewer.user.id, alice.id);
});

Deno.test("a token of another session or another person refreshes nothing, and the socket stays as it was", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  await using socket = await RawSocket.signIn(app, alice);
  for (const stranger of [await addDevice(app, alice), bob]) {
    const { data } = await socket.ask(REFRESH, { input: { accessToken: stranger.token } });
    const { accessTokenExpiresAt, errors: [{ code, path, message }] } = data.refreshConnection;
    assert.deepEqual([accessTokenExpiresAt, code, path], [null, "INVALID_INPUT", ["accessToken"]]);
    assert.match(message, /reconnect/);
  }
  assert.equal((await socket.ask("{ viewer { user { id } } }")).data.viewer.user.id, alice.id);
});

Deno.test("signing in as somebody else in the same operation makes the socket nobody else's", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  await using socket = await RawSocket.signIn(app, alice);
  const both = `mutation ($login: LoginInput!, $refresh: RefreshConnectionInput!) {
    login(input: $login) { errors { code } }
    refreshConnection(input: $refresh) { errors { code } }
  }`;
  const login = { login: bob.username, password: bob.password };
  const { data } = await socket.ask(both, { login, refresh: { accessToken: bob.token } });
  assert.deepEqual(data, { login: { errors: [] }, refreshConnection: { errors: [{ code: "INVALID_INPUT" }] } });
  assert.equal((await socket.ask("{ viewer { user { id } } }")).data.viewer.user.id, alice.id);
});

Deno.test("a bad or expired token is UNAUTHENTICATED, and the socket stays as it was", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await using socket = await RawSocket.signIn(app, alice);
  for (const accessToken of ["nonsense", (await withToken(app, alice, { seconds: -10 })).token]) {
    const body = await socket.ask(REFRESH, { input: { accessToken } });
    assert.deepEqual([codesOf(body), body.data], [[["UNAUTHENTICATED"]], { refreshConnection: null }]);
  }
  assert.equal((await socket.ask("{ viewer { user { id } } }")).data.viewer.user.id, alice.id);
});

Deno.test("there is nothing to refresh on a socket that is nobody's, or without a socket", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const input = { accessToken: alice.token };
  await using nobody = await RawSocket.connect(app);
  assert.deepEqual(codesOf(await nobody.ask(REFRESH, { input })), [["UNAUTHENTICATED"]]);
  const { status, body } = await app.post({ query: REFRESH, variables: { input } }, alice);
  assert.deepEqual([status, codesOf(body)], [400, [["BAD_USER_INPUT"]]]);
  assert.match(body.errors?.[0].message, /WebSocket/);
});

Deno.test("a socket that was refreshed ends with its session, also when that ends in the same moment", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const laptop = await addDevice(app, alice);
  await using socket = await RawSocket.signIn(app, alice);
  await refreshed(socket, await refresh(app, alice));
  await app.run("mutation { logout { endedSessionId } }", {}, alice);
  assert.equal((await socket.closed).code, 4403);

  await using other = await RawSocket.signIn(app, laptop);
  other.subscribe("refresh", REFRESH, { input: { accessToken: (await refresh(app, laptop)).token } });
  announceEndedSessions(app.app, [String(decodeJwt(laptop.token).sid)]);
  assert.equal((await other.closed).code, 4403);
});

/** Refreshes the socket and returns when it expires then. */
async function refreshed(socket: RawSocket, { token: accessToken }: Person): Promise<string> {
  const { data, errors } = await socket.ask(REFRESH, { input: { accessToken } });
  assert.equal(errors, undefined);
  assert.deepEqual(data.refreshConnection.errors, []);
  return data.refreshConnection.accessTokenExpiresAt;
}

/** The person with a token of the same session that expires so many seconds from now. */
async function withToken(
  { app }: TestApp,
  person: Person,
  { seconds }: { readonly seconds: number },
): Promise<Person> {
  const viewer = {
    userId: findId("user", person.id) ?? "",
    sessionId: String(decodeJwt(person.token).sid),
    role: "USER" as const,
  };
  const config = { ...app.config, accessTokenTtlSeconds: seconds };
  const { accessToken } = await signAccessToken({ ...app, config }, viewer);
  return { ...person, token: accessToken };
}

function expiryOf({ token }: Person): string {
  return new Date((decodeJwt(token).exp ?? 0) * 1000).toISOString();
}
