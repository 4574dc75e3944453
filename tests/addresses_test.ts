/** What counts as one client, where the server counts by address. */
import { strict as assert } from "node:assert";
import { addressKey } from "../src/lib/addresses.ts";
import { findId } from "../src/lib/ids.ts";
import { type LimitName, LIMITS } from "../src/platform/limits.ts";
import { startApp, type TestApp } from "./support/app.ts";

Deno.test("an IPv4 address is one client, however it is written", () => {
  assert.equal(addressKey("203.0.113.7"), "203.0.113.7");
  for (const mapped of ["::ffff:203.0.113.7", "::FFFF:cb00:7107", "0:0:0:0:0:ffff:203.0.113.7"]) {
    assert.equal(addressKey(mapped), "203.0.113.7", mapped);
  }
  assert.notEqual(addressKey("203.0.113.7"), addressKey("203.0.113.8"));
});

Deno.test("all IPv6 addresses of one /64 are one client: changing the lower half is free", () => {
  const key = addressKey("2001:db8:0:7::1");
  assert.equal(key, "2001:db8:0:7::/64");
  for (const same of ["2001:0DB8::7:ffff:ffff:ffff:ffff", "2001:db8:0:7:1:2:3:4", "2001:db8:0:7:1:2:203.0.113.7"]) {
    assert.equal(addressKey(same), key, same);
  }
  for (const other of ["2001:db8:0:8::1", "2001:db8:1:7::1", "::1"]) assert.notEqual(addressKey(other), key, other);
  assert.equal(addressKey("::1"), "0:0:0:0::/64");
  assert.equal(addressKey("fe80::1%eth0"), addressKey("fe80::2"));
});

Deno.test("one who tries again from other addresses of the same /64 is held up all the same, and nobody else is", async () => {
  await using app = await startApp({ RATE_LIMITS: "on", TRUSTED_PROXIES: "127.0.0.1" });
  const alice = await app.signUp("alice");
  const login = { login: alice.username, password: "not this one" };
  const account = { username: alice.username, email: "alice@example.com", password: "correct horse battery" };
  const tries: readonly (readonly [limit: LimitName, field: string, input: object])[] = [
    ["loginAccount", "login", login],
    ["loginAddress", "login", login],
    ["registerAddress", "register", account],
    ["refreshAddress", "refreshSession", { refreshToken: "unknown" }],
  ];
  for (const [index, [limit, field, input]] of tries.entries()) {
    const network = `2001:db8:1:${index}`;
    const key = `${limit === "loginAccount" ? `${findId("user", alice.id)} ` : ""}${network}::/64`;
    for (let n = 0; n < LIMITS[limit].points; n++) await app.app.limits.take(limit, key);
    assert.equal(await refusalFrom(app, `${network}:1:2:3:4`, field, input), "RATE_LIMITED", limit);
    assert.notEqual(await refusalFrom(app, `2001:db8:2:${index}::1`, field, input), "RATE_LIMITED", limit);
  }
});

/** Why the mutation is refused to one who comes from there. */
async function refusalFrom(app: TestApp, address: string, field: string, input: object): Promise<string | undefined> {
  const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { field: ${field}(input: $input) { errors { code } } }`;
  const response = await fetch(app.url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-forwarded-for": address },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const { data } = await response.json();
  return data.field.errors[0]?.code;
}
