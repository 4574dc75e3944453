/** People who administer the server. */
import { strict as assert } from "node:assert";
import { setAccountRole } from "../../src/admin/accounts.ts";
import type { Person, TestApp } from "./app.ts";

/** A person who was made an admin. */
export async function signUpAdmin(app: TestApp, name = "admin"): Promise<Person> {
  const person = await app.signUp(name);
  await makeAdmin(app, person);
  return person;
}

/** Gives the account the role, as the command line does. */
export async function makeAdmin({ app }: Pick<TestApp, "app">, { username }: Person): Promise<void> {
  assert.ok(await setAccountRole(app, username, "ADMIN"));
}
