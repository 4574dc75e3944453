/** Promises of sessions: a device stays signed in while its tokens rotate, and a stolen token ends it. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { createTestDatabase } from "./support/databases.ts";
import { done, refusal } from "./support/mutations.ts";
import {
  addDevice,
  currentDevice,
  isSignedIn,
  listDevices,
  openSocket,
  refresh,
  refreshRefusal,
} from "./support/sessions.ts";

Deno.test("refreshing gives new tokens, and the session lives longer", async () => {
  await using app = await startApp();
  const first = await app.signUp("alice");
  await app.app.sql`update sessions set expires_at = now() + interval '1 minute'`;
  const select = "tokens { accessTokenExpiresAt refreshTokenExpiresAt } viewer { sessions { isCurrent expiresAt } }";
  const { tokens, viewer } = await done(app, "refreshSession", { refreshToken: first.refreshToken }, undefined, select);
  assert.deepEqual(viewer.sessions, [{ isCurrent: true, expiresAt: tokens.refreshTokenExpiresAt }]);
  const days = (Date.parse(tokens.refreshTokenExpiresAt) - Date.now()) / 86_400_000;
  assert.ok(days > 29 && days <= 30.01, `${days} days`);
  const second = await refresh(app, first);
  assert.notEqual(second.refreshToken, first.refreshToken);
  const third = await refresh(app, second);
  assert.ok(await isSignedIn(app, second));
  assert.ok(await isSignedIn(app, third));
});

Deno.test("a client that lost the answer refreshes again with the same token, and every answer works", async () => {
  await using app = await startApp();
  const first = await app.signUp("alice");
  const [lost, second] = [await refresh(app, first), await refresh(app, first)];
  for (const device of [lost, second]) {
    assert.ok(await isSignedIn(app, device));
    assert.ok(await isSignedIn(app, await refresh(app, device)));
  }
  assert.equal((await listDevices(app, second)).length, 1);
});

Deno.test("tabs that refresh at the same moment all stay signed in", async () => {
  await using app = await startApp();
  const device = await app.signUp("alice");
  const tabs = await Promise.all([1, 2, 3, 4].map(() => refresh(app, device)));
  assert.equal(new Set(tabs.map(({ refreshToken }) => refreshToken)).size, 4);
  for (const tab of tabs) assert.ok(await isSignedIn(app, await refresh(app, tab)));
});

Deno.test("a token used again after ten seconds ends the session: its tokens are useless, its socket is closed", async () => {
  await using app = await startApp();
  const first = await app.signUp("alice");
  const elsewhere = await addDevice(app, first);
  const room = await app.makeRoom(first);
  const second = await refresh(app, first);
  await using socket = await openSocket(app, second, room.id);
  await using otherSocket = await openSocket(app, elsewhere, room.id);
  await moveClock(app, 11);
  assert.equal(await refreshRefusal(app, first), "INVALID_REFRESH_TOKEN");
  assert.equal(await socket.closed, 4403);
  assert.equal(await isSignedIn(app, first), false);
  assert.equal(await isSignedIn(app, second), false);
  assert.equal(await refreshRefusal(app, second), "INVALID_REFRESH_TOKEN");
  assert.ok(await isSignedIn(app, await refresh(app, elsewhere)), "another device of the person stays signed in");
  assert.equal(await otherSocket.isOpen(), true);
});

Deno.test("the ten seconds count from the first use, not from the last", async () => {
  await using app = await startApp();
  const first = await app.signUp("alice");
  await refresh(app, first);
  await moveClock(app, 6);
  const again = await refresh(app, first);
  await moveClock(app, 6);
  assert.equal(await refreshRefusal(app, first), "INVALID_REFRESH_TOKEN");
  assert.equal(await isSignedIn(app, again), false);
});

Deno.test("a refresh token that is unknown, malformed or of an expired session is refused", async () => {
  await using app = await startApp();
  const person = await app.signUp("alice");
  for (const refreshToken of ["", "\0", "garbage", person.token, person.refreshToken.slice(1), "x".repeat(100_000)]) {
    assert.deepEqual(await refusal(app, "refreshSession", { refreshToken }), ["INVALID_REFRESH_TOKEN", "refreshToken"]);
  }
  const watcher = await addDevice(app, person);
  assert.equal((await listDevices(app, watcher)).length, 2);
  const [{ sessionId }] = await app.app.sql<Any>`
    update sessions
    set expires_at = now()
    where id = (select id from sessions order by created_at limit 1)
    returning id as session_id`;
  assert.ok(sessionId);
  assert.equal(await refreshRefusal(app, person), "INVALID_REFRESH_TOKEN");
  assert.equal((await listDevices(app, watcher)).length, 1);
});

Deno.test("refreshing works without an access token and with a bad one", async () => {
  await using app = await startApp();
  const person = await app.signUp("alice");
  const input = { refreshToken: person.refreshToken };
  await done(app, "refreshSession", input);
  await done(app, "refreshSession", input, { ...person, token: "not a token" });
});

Deno.test("logging out ends this session only; its tokens are useless and its socket is closed", async () => {
  await using app = await startApp();
  const laptop = await app.signUp("alice");
  const phone = await addDevice(app, laptop);
  const room = await app.makeRoom(laptop);
  await using socket = await openSocket(app, laptop, room.id);
  const { id: endedSessionId } = await currentDevice(app, laptop);
  assert.deepEqual(await logOut(app, laptop), { endedSessionId, errors: [] });
  assert.equal(await socket.closed, 4403);
  assert.equal(await isSignedIn(app, laptop), false);
  assert.equal(await refreshRefusal(app, laptop), "INVALID_REFRESH_TOKEN");
  assert.ok(await isSignedIn(app, phone));
});

Deno.test("logging out without a session is no error", async () => {
  await using app = await startApp();
  const person = await app.signUp("alice");
  const nothing = { endedSessionId: null, errors: [] };
  assert.deepEqual(await logOut(app), nothing);
  assert.deepEqual(await logOut(app, { ...person, token: "not a token" }), nothing);
  await logOut(app, person);
  assert.deepEqual(await logOut(app, person), nothing);
});

Deno.test("sessions that have ended are refused after a restart of the server", async () => {
  await using database = await createTestDatabase();
  const people: Person[] = [];
  {
    await using app = await startApp({ ...database.config });
    const stays = await app.signUp("alice");
    const [loggedOut, revoked, stolen] = [
      await addDevice(app, stays),
      await addDevice(app, stays),
      await addDevice(app, stays),
    ];
    await logOut(app, loggedOut);
    await done(app, "revokeSession", { sessionId: (await currentDevice(app, revoked)).id }, stays);
    await refresh(app, stolen);
    await moveClock(app, 11);
    assert.equal(await refreshRefusal(app, stolen), "INVALID_REFRESH_TOKEN");
    people.push(stays, loggedOut, revoked, stolen);
  }
  await using app = await startApp({ ...database.config });
  const answers = await Promise.all(people.map((person) => isSignedIn(app, person)));
  assert.deepEqual(answers, [true, false, false, false]);
});

async function logOut(app: TestApp, as?: Person): Promise<Any> {
  const { logout } = await app.run("mutation { logout { endedSessionId errors { code } } }", {}, as);
  return logout;
}

/** Makes used tokens look used that much earlier. */
async function moveClock(app: TestApp, seconds: number): Promise<void> {
  await app.app.sql`update refresh_tokens set used_at = used_at - make_interval(secs => ${seconds})`;
}
