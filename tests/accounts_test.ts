/** Promises of accounts: what admins can do to them, and that nobody else can. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { signUpAdmin } from "./support/admins.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { EventStream } from "./support/event_streams.ts";
import { done, refusal } from "./support/mutations.ts";
import { isSignedIn, logIn, openSocket, refreshRefusal } from "./support/sessions.ts";
import { codesOf } from "./support/transports.ts";
import { toldTo } from "./support/viewer_logs.ts";

Deno.test("a suspended person is out at once on every device, and back in when the suspension is lifted", async () => {
  await using app = await startApp();
  const [admin, person] = [await signUpAdmin(app), await app.signUp()];
  const phone = await logIn(app, person);
  const room = await app.makeRoom(admin, person);
  await using socket = await openSocket(app, person, room.id);
  await using stream = await EventStream.follow(app, phone, room);
  await using others = await openSocket(app, admin, room.id);
  await stream.next();

  const { user } = await done(app, "updateAccount", { userId: person.id, isSuspended: true }, admin, STANDING);
  assert.deepEqual(user, { accountRole: "USER", isSuspended: true });
  await app.send(admin, room, "afterwards");
  assert.equal(await socket.closed, 4403);
  assert.deepEqual(codesOf(await stream.next()), [["UNAUTHENTICATED"]], "nothing came in between");
  assert.equal((await stream.results.next()).done, true);
  assert.equal(await others.isOpen(), true);
  for (const device of [person, phone]) {
    assert.equal(await isSignedIn(app, device), false);
    assert.equal(await refreshRefusal(app, device), "INVALID_REFRESH_TOKEN");
  }
  const { username, password } = person;
  for (const login of [username, `${username}@example.com`]) {
    assert.deepEqual(await refusal(app, "login", { login, password }), ["ACCOUNT_SUSPENDED", "login"]);
    const wrong = { login, password: "wrong horse battery" };
    assert.deepEqual(await refusal(app, "login", wrong), ["INVALID_CREDENTIALS", "password"], "who has not proved it");
  }
  await done(app, "updateAccount", { userId: person.id, isSuspended: true, role: null }, admin);
  await done(app, "updateAccount", { userId: person.id, isSuspended: false }, admin);
  assert.equal(await isSignedIn(app, await logIn(app, person)), true);
  assert.equal(await isSignedIn(app, person), false, "old sessions stay ended");
});

Deno.test("only admins change accounts, never their own, and only those that are there", async () => {
  await using app = await startApp();
  const [admin, person, gone] = [await signUpAdmin(app), await app.signUp(), await app.signUp()];
  await done(app, "deleteAccount", { password: gone.password }, gone);
  const change = { userId: person.id, role: "ADMIN", isSuspended: true };
  for (const userId of [person.id, admin.id, gone.id, "garbage"]) {
    assert.deepEqual(await refusal(app, "updateAccount", { ...change, userId }, person), ["FORBIDDEN"], userId);
  }
  assert.deepEqual(await refusal(app, "updateAccount", { ...change, userId: admin.id }, admin), [
    "FORBIDDEN",
    "userId",
  ]);
  for (const userId of [gone.id, encodeId("user", newId()), "garbage", ""]) {
    assert.deepEqual(await refusal(app, "updateAccount", { ...change, userId }, admin), ["NOT_FOUND", "userId"]);
  }
  const { body } = await app.post({ query: `mutation { updateAccount(input: { userId: "x" }) { errors { code } } }` });
  assert.deepEqual(codesOf(body), [["UNAUTHENTICATED"]]);
  assert.deepEqual(await standing(app, person, admin), { accountRole: "USER", isSuspended: false });
  assert.deepEqual(await standing(app, admin, admin), { accountRole: "ADMIN", isSuspended: false });
});

Deno.test("a role holds from the moment it is given to the moment it is taken, whatever the token says", async () => {
  await using app = await startApp();
  const [admin, person, target] = [await signUpAdmin(app), await app.signUp(), await app.signUp()];
  assert.deepEqual(await toldTo(app, person), []);
  await done(app, "updateAccount", { userId: person.id, role: "ADMIN" }, admin);
  await done(app, "updateAccount", { userId: person.id, role: "ADMIN" }, admin);
  assert.deepEqual(await toldTo(app, person), ["VIEWER_UPDATED"], "the other devices are told of a change");
  const { user } = await done(app, "updateAccount", { userId: target.id, isSuspended: true }, person, STANDING);
  assert.deepEqual(user, { accountRole: "USER", isSuspended: true });
  const fresh = await logIn(app, person);
  await done(app, "updateAccount", { userId: person.id, role: "USER" }, admin);
  for (const device of [person, fresh]) {
    assert.deepEqual(await refusal(app, "updateAccount", { userId: target.id }, device), ["FORBIDDEN"]);
    assert.deepEqual(await standing(app, target, device), NOTHING);
  }
  assert.equal((await app.run("{ viewer { role } }", {}, fresh)).viewer.role, "USER");
});

Deno.test("role and suspension are seen by admins, the own role by everyone, and nothing else by anybody", async () => {
  await using app = await startApp();
  const [admin, person, other] = [await signUpAdmin(app), await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(admin, person);
  assert.deepEqual(await standing(app, admin, admin), { accountRole: "ADMIN", isSuspended: false });
  assert.deepEqual(await standing(app, other, admin), { accountRole: "USER", isSuspended: false });
  assert.deepEqual(await standing(app, person, person), { accountRole: "USER", isSuspended: null });
  assert.deepEqual(await standing(app, admin, person), NOTHING);
  const { roomBySlug: { creator } } = await app.run(
    `query ($slug: String!) { roomBySlug(slug: $slug) { creator { accountRole isSuspended } } }`,
    { slug: room.slug },
  );
  assert.deepEqual(creator, NOTHING, "for one who is not signed in");
});

const STANDING = "user { accountRole isSuspended }";
const NOTHING = { accountRole: null, isSuspended: null };

async function standing(app: TestApp, person: Person, as: Person): Promise<Any> {
  return (await app.run(`query ($id: ID!) { user(id: $id) { accountRole isSuspended } }`, { id: person.id }, as)).user;
}
