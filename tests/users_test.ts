/** Promises of profiles: what people may change, and what others see of them. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";

const PROFILE = "user { username displayName bio isViewer }";

Deno.test("a profile changes where it is told to: what is left out stays, null clears", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const change = async (input: object) => (await done(app, "updateProfile", input, alice, PROFILE)).user;
  const { username } = alice;
  const full = { username, displayName: "Alice 🦊", bio: "Sails.\nReads." };
  assert.deepEqual(await change({ displayName: " Alice 🦊 ", bio: " Sails.\nReads. " }), { ...full, isViewer: true });
  assert.deepEqual(await change({}), { ...full, isViewer: true });
  assert.deepEqual(await change({ displayName: "Al" }), { ...full, displayName: "Al", isViewer: true });
  assert.deepEqual(await change({ bio: null }), { ...full, displayName: "Al", bio: null, isViewer: true });
  assert.deepEqual(await change({ bio: "back" }), { ...full, displayName: "Al", bio: "back", isViewer: true });
  assert.deepEqual(await change({ bio: "  " }), { ...full, displayName: "Al", bio: null, isViewer: true });
  const cleared = { username, displayName: username, bio: null, isViewer: true };
  assert.deepEqual(await change({ displayName: null }), cleared, "without a name the handle is shown");
  const renamed = { ...cleared, username: `${username}_2`, displayName: `${username}_2` };
  assert.deepEqual(await change({ username: ` ${username.toUpperCase()}_2 `, displayName: null }), renamed);
  assert.deepEqual(await change({ username: `${username}_2` }), renamed, "one's own handle is not taken");
});

Deno.test("a profile that is refused stays as it was", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const { user } = await done(app, "updateProfile", { displayName: "Alice", bio: "Sails" }, alice, PROFILE);
  const refused: [input: object, answer: (string | number)[]][] = [
    [{ username: null }, ["EMPTY", "username"]],
    [{ username: "" }, ["INVALID_INPUT", "username"]],
    [{ username: "with space" }, ["INVALID_INPUT", "username"]],
    [{ username: bob.username }, ["USERNAME_TAKEN", "username"]],
    [{ username: bob.username.toUpperCase(), bio: "other" }, ["USERNAME_TAKEN", "username"]],
    [{ displayName: "🦊".repeat(81), bio: "other" }, ["TOO_LONG", "displayName", 80]],
    [{ displayName: "half \udd8a" }, ["INVALID_INPUT", "displayName"]],
    [{ bio: "b".repeat(501), displayName: "other" }, ["TOO_LONG", "bio", 500]],
    [{ bio: "NUL \0." }, ["INVALID_INPUT", "bio"]],
  ];
  for (const [input, answer] of refused) {
    assert.deepEqual(await refusal(app, "updateProfile", input, alice), answer, JSON.stringify(input));
  }
  assert.deepEqual((await done(app, "updateProfile", {}, alice, PROFILE)).user, user);
  const longest = { displayName: "🦊".repeat(80), bio: "🐢".repeat(500) };
  assert.deepEqual((await mutate(app, "updateProfile", longest, alice)).errors, []);
});

Deno.test("a renamed person is found, and signs in, by the new handle only", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await done(app, "updateProfile", { username: "new.handle" }, alice);
  assert.equal(await idByUsername(app, "new.handle", alice), alice.id);
  assert.equal(await idByUsername(app, alice.username, alice), null);
  await done(app, "login", { login: "new.handle", password: alice.password });
  assert.deepEqual(await refusal(app, "login", { login: alice.username, password: alice.password }), [
    "INVALID_CREDENTIALS",
    "password",
  ]);
});

Deno.test("people are found by handle in any case, and nobody is found by what is no handle", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  for (const username of [bob.username, bob.username.toUpperCase(), `B${bob.username.slice(1)}`]) {
    assert.equal(await idByUsername(app, username, alice), bob.id, username);
  }
  for (const username of ["", "nobody_here", "%", `${bob.username}@example.com`, "half \ud83e", "a".repeat(10_000)]) {
    assert.equal(await idByUsername(app, username, alice), null, username.slice(0, 20));
  }
  assert.equal(await idByUsername(app, `${bob.username}\0`, alice), null);
});

Deno.test("people are found by id, and garbage finds nobody", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const find = async (id: string) => (await app.run("query ($id: ID!) { user(id: $id) { id } }", { id }, alice)).user;
  assert.deepEqual(await find(bob.id), { id: bob.id });
  const suffix = bob.id.slice("user_".length);
  const garbage = ["", "user_", "garbage", "\0", suffix, `room_${suffix}`, `viewer_${suffix}`, `user_${suffix}0`];
  garbage.push(bob.id.slice(0, -1), `user_${"z".repeat(26)}`, `user_${"0".repeat(26)}`, `user_${"u".repeat(26)}`);
  for (const id of garbage) assert.equal(await find(id), null, id);
});

Deno.test("nobody sees the address of somebody else", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const viewerId = (await app.run("{ viewer { id } }", {}, bob)).viewer.id;
  const document = `query ($id: ID!) { node(id: $id) { id ... on Viewer { email } } }`;
  assert.equal((await app.run(document, { id: viewerId }, alice)).node, null);
  assert.equal((await app.run(document, { id: viewerId }, bob)).node.email, `${bob.username}@example.com`);
  const { status, body } = await app.post(
    { query: `{ userByUsername(username: "${bob.username}") { email } }` },
    alice,
  );
  assert.deepEqual([status, body.data], [400, undefined], "the public type has no such field");
});

Deno.test("people are only shown to those who have signed in", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  for (const field of [`user(id: "${alice.id}")`, `userByUsername(username: "${alice.username}")`]) {
    const { body } = await app.post({ query: `{ ${field} { id } }` });
    assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED", field);
  }
  const { body } = await app.post({ query: `mutation { updateProfile(input: { bio: "x" }) { errors { code } } }` });
  assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED");
});

async function idByUsername(app: TestApp, username: string, as: Person): Promise<string | null> {
  const document = "query ($username: String!) { userByUsername(username: $username) { id } }";
  const { userByUsername }: Any = await app.run(document, { username }, as);
  return userByUsername && userByUsername.id;
}
