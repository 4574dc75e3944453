/** People who administer the server. */
import { strict as assert } from "node:assert";
import { setAccountRole } from "../../src/admin/accounts.ts";
import type { Person, TestApp } from "./app.ts";

/** A person who was made an admin at the command line. */
export async function signUpAdmin(app: TestApp, name = "admin"): Promise<Person> {
  const person = await app.signUp(name);
  assert.ok(await setAccountRole(app.app, person.username, "ADMIN"));
  return person;
}
