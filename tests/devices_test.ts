/** Promises of the list of signed-in devices, and of a changed password. */
import { strict as assert } from "node:assert";
import { startSession } from "../src/auth/sessions.ts";
import { type Any, startApp } from "./support/app.ts";
import { countStatements } from "./support/counters.ts";
import { eventually } from "./support/eventually.ts";
import { done, refusal } from "./support/mutations.ts";
import {
  addDevice,
  currentDevice,
  isSignedIn,
  listDevices,
  logIn,
  openSocket,
  refresh,
  refreshRefusal,
} from "./support/sessions.ts";

Deno.test("the list of devices names each, last used first, and says which one asks", async () => {
  await using app = await startApp();
  const laptop = await app.signUp("alice");
  const phone = await logIn(app, laptop, "Phone");
  await logIn(app, laptop, "Tablet");
  await app.signUp("bob");
  // Hours apart, so that the order does not hang on the clock.
  await app.app.sql`update sessions set last_used_at = created_at - interval '1 hour'`;
  await app.app.sql`update sessions set last_used_at = created_at - interval '2 hours' where client_name = 'Phone'`;
  const seenBy = async (person = laptop) =>
    (await listDevices(app, person)).map(({ clientName, isCurrent }) => [clientName, isCurrent]);
  assert.deepEqual(await seenBy(laptop), [[null, true], ["Tablet", false], ["Phone", false]]);
  await refresh(app, phone);
  assert.deepEqual((await seenBy(phone))[0], ["Phone", true]);
  const [device] = await listDevices(app, phone);
  assert.equal(device?.ipAddress, "127.0.0.1");
});

Deno.test("what a device does is seen by the others: when it was last used, and from where", async () => {
  await using app = await startApp();
  const laptop = await app.signUp("alice");
  const [phone, tablet] = [await logIn(app, laptop, "Phone"), await logIn(app, laptop, "Tablet")];
  const room = await app.makeRoom(laptop);
  await app.app.sql`update sessions set last_used_at = now() - interval '1 day', ip_address = '192.0.2.1'`;
  const startedMs = Date.now();
  await isSignedIn(app, phone);
  await using socket = await openSocket(app, tablet, room.id);
  for (const clientName of ["Phone", "Tablet"]) {
    await eventually(`the use of the ${clientName} is noted`, async () => {
      const { viewer } = await app.run("{ viewer { sessions { clientName ipAddress lastUsedAt } } }", {}, laptop);
      const { lastUsedAt, ipAddress } = viewer.sessions.find((session: Any) => session.clientName === clientName);
      return Date.parse(lastUsedAt) >= startedMs && ipAddress === "127.0.0.1";
    });
  }
  assert.ok(await socket.isOpen());
});

Deno.test("a device that is busy costs one note in a minute", async () => {
  await using app = await startApp();
  const laptop = await app.signUp("alice");
  await app.app.sql`update sessions set last_used_at = now() - interval '1 day'`;
  const minute = () => Math.floor(Date.now() / 60_000);
  let [began, statements] = [0, 0];
  do { // once more, should a minute end just here
    began = minute();
    statements = await countStatements(app);
    for (let i = 0; i < 20; i++) await app.run("{ __typename }", {}, laptop);
    statements = await countStatements(app) - statements;
  } while (minute() !== began);
  assert.ok(statements <= 1, `${statements} statements`);
});

Deno.test("a revoked device is signed out at once, its socket is closed, the others stay", async () => {
  await using app = await startApp();
  const laptop = await app.signUp("alice");
  const phone = await addDevice(app, laptop);
  const room = await app.makeRoom(laptop);
  await using socket = await openSocket(app, phone, room.id);
  const { id: sessionId } = await currentDevice(app, phone);
  const { endedSessionId } = await done(app, "revokeSession", { sessionId }, laptop, "endedSessionId");
  assert.equal(endedSessionId, sessionId);
  assert.equal(await socket.closed, 4403);
  assert.equal(await isSignedIn(app, phone), false);
  assert.equal(await refreshRefusal(app, phone), "INVALID_REFRESH_TOKEN");
  assert.ok(await isSignedIn(app, laptop));
  assert.deepEqual(await refusal(app, "revokeSession", { sessionId }, laptop), ["NOT_FOUND", "sessionId"]);
});

Deno.test("a device of somebody else cannot be told from one that does not exist, and stays signed in", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const { id: foreign } = await currentDevice(app, bob);
  const { id: own } = await currentDevice(app, alice);
  for (const sessionId of [foreign, alice.id, own.slice(0, -1), "garbage", "", "\0"]) {
    assert.deepEqual(await refusal(app, "revokeSession", { sessionId }, alice), ["NOT_FOUND", "sessionId"], sessionId);
  }
  assert.ok(await isSignedIn(app, bob));
  assert.ok(await isSignedIn(app, alice));
});

Deno.test("revoking all other devices ends them and keeps this one", async () => {
  await using app = await startApp();
  const [laptop, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const [phone, tablet] = [await addDevice(app, laptop), await addDevice(app, laptop)];
  const others = [await currentDevice(app, phone), await currentDevice(app, tablet)].map(({ id }) => id);
  const revoke = async () => {
    const document = "mutation { revokeOtherSessions { endedSessionIds errors { code } } }";
    return (await app.run(document, {}, laptop)).revokeOtherSessions;
  };
  const { endedSessionIds, errors } = await revoke();
  assert.deepEqual([endedSessionIds.toSorted(), errors], [others.toSorted(), []]);
  const devices = await Promise.all([laptop, phone, tablet, bob].map((device) => isSignedIn(app, device)));
  assert.deepEqual(devices, [true, false, false, true]);
  assert.equal((await listDevices(app, laptop)).length, 1);
  assert.deepEqual(await revoke(), { endedSessionIds: [], errors: [] });
});

Deno.test("a password is only changed by one who knows it, and only to a strong one", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const phone = await addDevice(app, alice);
  const { username, password: currentPassword } = alice;
  const refused: [change: object, answer: (string | number)[]][] = [
    [{ currentPassword: "wrong horse battery" }, ["INVALID_CREDENTIALS", "currentPassword"]],
    [{ currentPassword: "" }, ["INVALID_CREDENTIALS", "currentPassword"]],
    [{ newPassword: "short" }, ["WEAK_PASSWORD", "newPassword"]],
    [{ newPassword: `I am ${username}` }, ["WEAK_PASSWORD", "newPassword"]],
    [{ newPassword: "long ".repeat(51) + "ab" }, ["TOO_LONG", "newPassword", 256]],
  ];
  for (const [change, answer] of refused) {
    const input = { currentPassword, newPassword: "staple correct horse", ...change };
    assert.deepEqual(await refusal(app, "changePassword", input, alice), answer, JSON.stringify(change));
  }
  assert.ok(await isSignedIn(app, phone), "nothing has ended");
  await logIn(app, alice);
});

Deno.test("a changed password ends all other sessions, keeps this one, and the old password opens nothing", async () => {
  await using app = await startApp();
  const laptop = await app.signUp("alice");
  const phone = await addDevice(app, laptop);
  const room = await app.makeRoom(laptop);
  await using socket = await openSocket(app, phone, room.id);
  await using own = await openSocket(app, laptop, room.id);
  const input = { currentPassword: laptop.password, newPassword: "staple correct horse" };
  const { viewer } = await done(app, "changePassword", input, laptop, "viewer { user { id } sessions { isCurrent } }");
  assert.deepEqual(viewer, { user: { id: laptop.id }, sessions: [{ isCurrent: true }] });
  assert.equal(await socket.closed, 4403);
  assert.equal(await isSignedIn(app, phone), false);
  assert.equal(await refreshRefusal(app, phone), "INVALID_REFRESH_TOKEN");
  assert.equal(await own.isOpen(), true);
  assert.ok(await isSignedIn(app, await refresh(app, laptop)));
  const old = { login: laptop.username, password: laptop.password };
  assert.deepEqual(await refusal(app, "login", old), ["INVALID_CREDENTIALS", "password"]);
  await logIn(app, { ...laptop, password: input.newPassword });
});

Deno.test("of two password changes at once only one wins, and the other is told", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const wishes = ["staple correct horse", "battery staple correct"];
  const document = `mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { errors { code } } }`;
  const codes = await Promise.all(wishes.map(async (newPassword) => {
    const input = { currentPassword: alice.password, newPassword };
    const { changePassword: { errors: [error] } } = await app.run(document, { input }, alice);
    return error?.code ?? null;
  }));
  assert.deepEqual(codes.toSorted(), ["INVALID_CREDENTIALS", null]);
  await logIn(app, { ...alice, password: wishes[codes.indexOf(null)] ?? "" });
});

Deno.test("a password that was changed while it was being checked opens no session", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const [account] = await app.app.sql<{ id: string; passwordHash: string }[]>`select id, password_hash from users`;
  const verified = { id: account?.id ?? "", role: "USER", passwordHash: account?.passwordHash ?? "" } as const;
  const input = { currentPassword: alice.password, newPassword: "another correct horse" };
  const document = "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { errors { code } } }";
  assert.deepEqual((await app.run(document, { input }, alice)).changePassword.errors, []);
  await assert.rejects(startSession(app.app, verified, { clientName: null, ipAddress: null }), {
    code: "INVALID_CREDENTIALS",
  });
});
