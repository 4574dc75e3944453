/** Promises of accounts: making one, and proving that it is yours. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";

const GOOD = { username: "somebody", email: "somebody@example.com", password: "correct horse battery" };

Deno.test("an account that cannot be made says which field is wrong and why, and leaves nothing behind", async () => {
  await using app = await startApp();
  const refused: [change: object, answer: (string | number)[]][] = [
    [{ username: "" }, ["INVALID_INPUT", "username"]],
    [{ username: "ab" }, ["INVALID_INPUT", "username"]],
    [{ username: "a".repeat(31) }, ["INVALID_INPUT", "username"]],
    [{ username: "two words" }, ["INVALID_INPUT", "username"]],
    [{ username: "some-body" }, ["INVALID_INPUT", "username"]],
    [{ username: "jürgen" }, ["INVALID_INPUT", "username"]],
    [{ username: "some\0body" }, ["INVALID_INPUT", "username"]],
    [{ email: "" }, ["INVALID_INPUT", "email"]],
    [{ email: "somebody" }, ["INVALID_INPUT", "email"]],
    [{ email: "@example.com" }, ["INVALID_INPUT", "email"]],
    [{ email: "somebody@localhost" }, ["INVALID_INPUT", "email"]],
    [{ email: "some body@example.com" }, ["INVALID_INPUT", "email"]],
    [{ email: "somebody@-example.com" }, ["INVALID_INPUT", "email"]],
    [{ email: "somebody@example.com\0" }, ["INVALID_INPUT", "email"]],
    [{ email: `${"a".repeat(243)}@example.com` }, ["INVALID_INPUT", "email"]],
    [{ password: "" }, ["WEAK_PASSWORD", "password"]],
    [{ password: "9 letters" }, ["WEAK_PASSWORD", "password"]],
    [{ password: "🐢🐇🐘🐳🦊🐢🐇🐘🐳" }, ["WEAK_PASSWORD", "password"]],
    [{ password: "abcabcabcabcabc" }, ["WEAK_PASSWORD", "password"]],
    [{ password: "I am SomeBody else" }, ["WEAK_PASSWORD", "password"]],
    [{ password: "long ".repeat(51) + "ab" }, ["TOO_LONG", "password", 256]],
    [{ displayName: "n".repeat(81) }, ["TOO_LONG", "displayName", 80]],
    [{ displayName: "NUL \0" }, ["INVALID_INPUT", "displayName"]],
    [{ displayName: "half \ud83e" }, ["INVALID_INPUT", "displayName"]],
    [{ clientName: "c".repeat(101) }, ["TOO_LONG", "clientName", 100]],
  ];
  for (const [change, answer] of refused) {
    assert.deepEqual(await refusal(app, "register", { ...GOOD, ...change }), answer, JSON.stringify(change));
  }
  const [{ users, sessions }] = await app.app.sql<Any>`
    select (select count(*) from users) as users, (select count(*) from sessions) as sessions`;
  assert.deepEqual([users, sessions], [0, 0]);
});

Deno.test("handles and addresses of every allowed form make an account, and are kept in lower case", async () => {
  await using app = await startApp();
  const select = "viewer { email user { username displayName } }";
  const accepted: [input: object, username: string, email: string, displayName: string][] = [
    [{ username: " Ann_9.x ", email: " Ann@Example.COM " }, "ann_9.x", "ann@example.com", "ann_9.x"],
    [
      { username: "z".repeat(30), email: "o'z+tag@mail.example.co.uk", displayName: " Zoë 🦊 " },
      "z".repeat(30),
      "o'z+tag@mail.example.co.uk",
      "Zoë 🦊",
    ],
    [
      { username: "abc", email: `${"a".repeat(242)}@example.com`, displayName: "   " },
      "abc",
      `${"a".repeat(242)}@example.com`,
      "abc",
    ],
  ];
  for (const [input, username, email, displayName] of accepted) {
    const { viewer } = await done(app, "register", { ...GOOD, ...input }, undefined, select);
    assert.deepEqual(viewer, { email, user: { username, displayName } });
  }
  const { errors } = await mutate(app, "register", { ...GOOD, password: "🐢🐇🐘🐳🦊🐢🐇🐘🐳🦊" });
  assert.deepEqual(errors, [], "ten emoji are ten characters");
});

Deno.test("every address that makes an account can be read back", async () => {
  await using app = await startApp();
  const email = `somebody@${"d".repeat(64)}.example.com`;
  const { viewer, errors } = await mutate(app, "register", { ...GOOD, email }, undefined, "viewer { email }");
  // A label of a domain has 63 characters at most (RFC 1035, 2.3.4).
  if (errors.length > 0) assert.deepEqual(errors[0].path, ["email"]);
  else assert.equal(viewer.email, email);
});

Deno.test("a handle or address that is in use is refused, in other case too", async () => {
  await using app = await startApp();
  await done(app, "register", GOOD);
  const other = { ...GOOD, username: "another", email: "another@example.com" };
  for (const username of [GOOD.username, "SOMEBODY", " SomeBody "]) {
    assert.deepEqual(await refusal(app, "register", { ...other, username }), ["USERNAME_TAKEN", "username"]);
  }
  for (const email of [GOOD.email, "SomeBody@EXAMPLE.com"]) {
    assert.deepEqual(await refusal(app, "register", { ...other, email }), ["EMAIL_TAKEN", "email"]);
  }
  await done(app, "register", other);
});

Deno.test("of several who register the same handle or address at once, exactly one gets it", async () => {
  await using app = await startApp();
  const race = async (inputs: object[]) => {
    const payloads = await Promise.all(inputs.map((input) => mutate(app, "register", { ...GOOD, ...input })));
    return payloads.map(({ errors: [error] }) => error?.code ?? "registered").sort();
  };
  const byHandle = ["racer", "RACER", "Racer"].map((username, i) => ({ username, email: `racer${i}@example.com` }));
  assert.deepEqual(await race(byHandle), ["USERNAME_TAKEN", "USERNAME_TAKEN", "registered"]);
  const byEmail = ["one@example.com", "ONE@example.com"].map((email, i) => ({ email, username: `one_${i}` }));
  assert.deepEqual(await race(byEmail), ["EMAIL_TAKEN", "registered"]);
});

Deno.test("one signs in by handle or by address, in any case", async () => {
  await using app = await startApp();
  const { id, username, password } = await app.signUp("alice");
  const logins = [
    username,
    username.toUpperCase(),
    ` ${username} `,
    `${username}@example.com`,
    `${username}@EXAMPLE.com`,
  ];
  for (const login of logins) {
    const { viewer } = await done(app, "login", { login, password }, undefined, "viewer { user { id } }");
    assert.equal(viewer.user.id, id, login);
  }
});

Deno.test("a password works however the keyboard composes its letters", async () => {
  await using app = await startApp();
  await done(app, "register", { ...GOOD, password: "caf\u00e9 cr\u00e8me" });
  await done(app, "login", { login: GOOD.username, password: "cafe\u0301 cre\u0300me" });
});

Deno.test("an unknown login and a wrong password are answered alike", async () => {
  await using app = await startApp();
  const { username } = await app.signUp("alice");
  const answer = (login: string) =>
    mutate(app, "login", { login, password: "wrong horse battery" }, undefined, "tokens { accessToken } viewer { id }");
  const wrong = await answer(username);
  assert.deepEqual([wrong.tokens, wrong.viewer, wrong.errors[0].code], [null, null, "INVALID_CREDENTIALS"]);
  for (
    const login of [
      `${username}@example.com`,
      "nobody_at_all",
      "nobody@example.com",
      "",
      "\0",
      "a".repeat(10_000),
      "' or 1=1",
    ]
  ) {
    assert.deepEqual(await answer(login), wrong, login.slice(0, 50));
  }
});

Deno.test("whoever signs up or in is the viewer of the rest of that request", async () => {
  await using app = await startApp();
  const select = "viewer { email role user { username isViewer } sessions { isCurrent clientName } }";
  const { viewer } = await done(app, "register", { ...GOOD, clientName: " Firefox " }, undefined, select);
  assert.deepEqual(viewer, {
    email: GOOD.email,
    role: "USER",
    user: { username: GOOD.username, isViewer: true },
    sessions: [{ isCurrent: true, clientName: "Firefox" }],
  });
  const login = { login: GOOD.username, password: GOOD.password, clientName: "Phone" };
  const again = await done(app, "login", login, undefined, select);
  assert.equal(again.viewer.user.isViewer, true);
  assert.deepEqual(again.viewer.sessions, [{ isCurrent: true, clientName: "Phone" }, {
    isCurrent: false,
    clientName: "Firefox",
  }]);
});

Deno.test("the viewer is null, without an error, for one who is signed out", async () => {
  await using app = await startApp();
  const { status, body } = await app.post({ query: "{ viewer { id email } }" });
  assert.deepEqual([status, body], [200, { data: { viewer: null } }]);
});
