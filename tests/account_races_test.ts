/** Promises of accounts that hold when things happen in one and the same moment. */
import { strict as assert } from "node:assert";
import { startSession } from "../src/auth/sessions.ts";
import { findId } from "../src/lib/ids.ts";
import { signUpAdmin } from "./support/admins.ts";
import { type Any, type Person, startApp, type TestRoom } from "./support/app.ts";
import { done, mutate } from "./support/mutations.ts";
import { holdAccounts } from "./support/races.ts";
import { readLog } from "./support/rooms.ts";
import { isSignedIn, refreshRefusal } from "./support/sessions.ts";
import { codesOf } from "./support/transports.ts";

Deno.test("a session that begins, or is refreshed, while its account is being suspended does not live", async () => {
  await using app = await startApp();
  const [admin, person] = [await signUpAdmin(app), await app.signUp()];
  const userId = findId("user", person.id) ?? "";
  const device = { clientName: null, ipAddress: null };
  const held = holdAccounts(app);
  const starting = Promise.allSettled([1, 2].map(() => startSession(app.app, { id: userId }, device)));
  await done(app, "updateAccount", { userId: person.id, isSuspended: true }, admin);
  await held;
  for (const { status, ...session } of await starting) {
    if (status === "rejected") continue;
    const { tokens: { accessToken: token, refreshToken } } = (session as Any).value;
    assert.equal(await isSignedIn(app, { ...person, token }), false);
    assert.equal(await refreshRefusal(app, { ...person, refreshToken }), "INVALID_REFRESH_TOKEN");
  }
  await assert.rejects(startSession(app.app, { id: userId }, device), { code: "ACCOUNT_SUSPENDED" });
  await done(app, "updateAccount", { userId: person.id, isSuspended: false }, admin);
  // A session that a crash left behind between the two statements of a suspension.
  const { tokens } = await startSession(app.app, { id: userId }, device);
  await app.app.sql`update users set suspended_at = now() where id = ${userId}`;
  assert.equal(await refreshRefusal(app, { ...person, refreshToken: tokens.refreshToken }), "INVALID_REFRESH_TOKEN");
});

Deno.test("of two admins who demote each other at once one remains", async () => {
  await using app = await startApp();
  for (let attempt = 0; attempt < 3; attempt++) {
    const admins = [await signUpAdmin(app), await signUpAdmin(app)] as const;
    const held = holdAccounts(app);
    const demote = async (other: Person, by: Person) =>
      (await mutate(app, "updateAccount", { userId: other.id, role: "USER" }, by)).errors[0]?.code ?? null;
    const [one, two] = admins;
    const codes = await Promise.all([demote(one, two), demote(two, one)]);
    await held;
    assert.deepEqual(codes.toSorted(), ["FORBIDDEN", null]);
    const roles = await Promise.all(admins.map((admin) => app.run("{ viewer { role } }", {}, admin)));
    assert.deepEqual(roles.map(({ viewer }) => viewer.role).toSorted(), ["ADMIN", "USER"]);
  }
});

Deno.test("of the last two owners who delete their accounts at once one has to stay", async () => {
  await using app = await startApp();
  const [one, two, member] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(one, two, member);
  await done(app, "updateMember", { roomId: room.id, userId: two.id, role: "OWNER" }, one);
  const held = holdAccounts(app);
  const codes = await Promise.all([one, two].map(async (person) => {
    const { errors: [error] } = await mutate(app, "deleteAccount", { password: person.password }, person);
    return error?.code ?? null;
  }));
  await held;
  assert.deepEqual(codes.toSorted(), ["LAST_OWNER", null]);
  const { room: { members } } = await app.run(
    "query ($id: ID!) { room(id: $id) { members { nodes { role } } } }",
    { id: room.id },
    member,
  );
  assert.deepEqual(members.nodes.map(({ role }: Any) => role), ["OWNER", "MEMBER"]);
});

Deno.test("accounts that are deleted while their owners write leave every log whole", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const people = [await app.signUp(), await app.signUp(), await app.signUp()];
  const rooms = [await app.makeRoom(owner, ...people), await app.makeRoom(owner, ...people)];
  const codes = new Set<string>();
  const deletions = people.map(async (person) => {
    let isDeleted = false;
    const write = async (room: TestRoom) => {
      while (!isDeleted) {
        const { body } = await app.post({ query: SEND, variables: { id: room.id } }, person);
        for (const [code] of codesOf(body)) codes.add(code);
      }
    };
    const writing = [...rooms, ...rooms].map(write);
    await done(app, "deleteAccount", { password: person.password }, person);
    isDeleted = true;
    await Promise.all(writing);
  });
  await Promise.all(deletions);
  assert.deepEqual([...codes].filter((code) => code !== "UNAUTHENTICATED"), []);
  for (const room of rooms) {
    const log = await readLog(app, room);
    for (const { id } of people) {
      const removal = log.findIndex(([kind, subjectId]) => kind === "MEMBER_REMOVED" && subjectId === id);
      assert.ok(removal >= 0);
    }
    const { room: { memberCount, members } } = await app.run(
      "query ($id: ID!) { room(id: $id) { memberCount members { nodes { id } } } }",
      { id: room.id },
      owner,
    );
    assert.deepEqual([memberCount, members.nodes.length], [1, 1]);
  }
});

const SEND = `mutation ($id: ID!) { sendMessage(input: { roomId: $id, content: "x" }) { errors { code } } }`;

Deno.test("a status that is set while its user is told of something is no deadlock", async () => {
  await using app = await startApp();
  const person = await app.signUp();
  const userId = findId("user", person.id) ?? "";
  // As every statement that tells the user: the log first, then the foreign key of the event.
  const telling = app.app.sql`
    with log as (
      update viewer_logs set last_seq = last_seq + 1 where user_id = ${userId} returning user_id, last_seq
    ), event as (
      insert into viewer_events (user_id, seq, kind, subject_id)
      select user_id, last_seq, 'VIEWER_UPDATED', user_id from log
    )
    select pg_sleep(0.5) from log`.execute();
  await done(app, "setPresence", { status: "AWAY" }, person);
  await telling;
});

Deno.test("who joins a room while the own account is being deleted is in no room afterwards", async () => {
  await using app = await startApp();
  const [owner, person] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(owner);
  const held = holdAccounts(app);
  const joining = mutate(app, "joinRoom", { roomId: room.id }, person);
  await done(app, "deleteAccount", { password: person.password }, person);
  await held;
  await joining;
  const members = await app.app.sql<Any[]>`select user_id from members where user_id = ${findId("user", person.id)}`;
  assert.deepEqual([...members], []);
  const [{ memberCount }] = await app.app.sql<Any[]>`select member_count from rooms where id = ${
    findId("room", room.id)
  }`;
  assert.equal(memberCount, 1);
});
