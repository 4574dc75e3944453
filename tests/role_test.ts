/** Promises of `deno task role`, the way to the first admin. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type Person, startApp } from "./support/app.ts";
import { ROOT } from "./support/code.ts";
import { createTestDatabase, type TestDatabase } from "./support/databases.ts";
import { refusal } from "./support/mutations.ts";
import { inheritedEnv, PERMISSIONS } from "./support/processes.ts";

Deno.test("the first admin is made at the command line, by handle, and says what is wrong with the line", async () => {
  await using database = await createTestDatabase();
  let people: readonly [Person, Person];
  {
    await using app = await startApp({ ...database.config });
    people = [await app.signUp(), await app.signUp()];
  }
  const [person, other] = people;
  assert.deepEqual(await runRole(database, person.username.toUpperCase(), "ADMIN"), { code: 0, error: "" });
  assert.deepEqual(await runRole(database, "nobody", "ADMIN"), { code: 1, error: "Nobody has the handle nobody\n" });
  const usage = "Usage: deno task role <username> <USER|ADMIN>\n";
  assert.deepEqual(await runRole(database, other.username, "KING"), { code: 1, error: usage });
  await using app = await startApp({ ...database.config });
  const input = { userId: "garbage" };
  assert.deepEqual(await refusal(app, "updateAccount", input, person), ["NOT_FOUND", "userId"]);
  assert.deepEqual(await refusal(app, "updateAccount", input, other), ["FORBIDDEN"]);
});

async function runRole({ config }: TestDatabase, ...args: string[]): Promise<{ code: number; error: string }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...PERMISSIONS, join(ROOT, "src/cli/role.ts"), ...args],
    clearEnv: true,
    env: { ...inheritedEnv(), ...config, LOG_LEVEL: "error" },
  }).output();
  return { code, error: new TextDecoder().decode(stderr) };
}
