/** Promises of passwords: guessing is slow, and cannot be used to fill the server's memory. */
import { strict as assert } from "node:assert";
import { hashPassword, verifyPassword } from "../src/auth/passwords.ts";
import { startApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";

/** Two hashes that run, and 32 that wait. */
const HASHES_MAX = 34;

Deno.test("a password is verified by its own hash only, and never stored", async () => {
  const [hash, again] = await Promise.all([hashPassword("correct horse"), hashPassword("correct horse")]);
  assert.match(hash, /^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(hash, again);
  assert.equal(await verifyPassword(hash, "correct horse"), true);
  assert.equal(await verifyPassword(hash, "Correct horse"), false);
  assert.equal(await verifyPassword(null, "correct horse"), false);
});

Deno.test("two hashes run and 32 wait; more are sent away at once, and served when there is room again", async () => {
  await using app = await startApp();
  const { username, password } = await app.signUp("alice");
  {
    await using _busy = keepHashing();
    await assert.rejects(verifyPassword(null, "guess"), { code: "UNAVAILABLE" });
    const document = `mutation ($input: LoginInput!) { login(input: $input) { errors { code } } }`;
    // An unknown login takes the same work as a known one: neither is answered while no hash can be made.
    for (const login of [username, "nobody_at_all", "nobody@example.com"]) {
      const { status, body } = await app.post({ query: document, variables: { input: { login, password } } });
      assert.deepEqual([status, body.data, body.errors?.length], [503, { login: null }, 1], login);
      const [{ extensions: { code, retryAfterMs } }] = body.errors ?? [];
      assert.deepEqual([code, retryAfterMs > 0], ["UNAVAILABLE", true]);
    }
  }
  await done(app, "login", { login: username, password });
});

/** Fills every place for a hash, and fills it again at once when it gets free, until disposed. */
function keepHashing(): AsyncDisposable {
  let isOn = true;
  const keep = async () => {
    while (isOn) await verifyPassword(null, "busy");
  };
  const all = Array.from({ length: HASHES_MAX }, keep);
  return {
    async [Symbol.asyncDispose]() {
      isOn = false;
      await Promise.all(all);
    },
  };
}

Deno.test("guessing one account's password is stopped after ten tries, however the login is written", async () => {
  await using app = await startApp({ RATE_LIMITS: "on" });
  const { username, password } = await app.signUp("alice");
  const spellings = [
    username,
    username.toUpperCase(),
    ` ${username}`,
    `${username}\0`,
    `${username}\0\0`,
    `\0${username}`,
  ];
  for (let guess = 0; guess < 10; guess++) {
    const login = spellings[guess % spellings.length];
    const [code] = await refusal(app, "login", { login, password: `wrong guess ${guess}` });
    assert.equal(code, "INVALID_CREDENTIALS");
  }
  for (const login of spellings) {
    const { errors } = await mutate(app, "login", { login, password });
    assert.deepEqual(errors.map(({ code }: { code: string }) => code), ["RATE_LIMITED"], JSON.stringify(login));
  }
});
