/** Promises of the search for people. */
import { strict as assert } from "node:assert";
import { encodeId, findId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { done } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";

const SEARCH = `query ($query: String!, $roomId: ID, ${PAGE_VARIABLES}) {
  searchUsers(query: $query, roomId: $roomId, ${PAGE_ARGS}) { ${PAGE} nodes { username } }
}`;
const ALL = "id username displayName bio createdAt isDeleted isViewer presenceStatus lastSeenAt";

Deno.test("people are found by the beginning of handle or name, in the room where that is asked for", async () => {
  await using app = await startApp();
  const tag = crypto.randomUUID().slice(0, 6);
  const people = new Map<string, Person>();
  const register = async (username: string, displayName: string) => {
    const person = await app.signUp();
    await done(app, "updateProfile", { username, displayName }, person);
    people.set(username, { ...person, username });
    return person;
  };
  // In the order in which the search for the tag finds them: the two that are called exactly so, then by handle.
  const [zed] = [await register(`z${tag}`, tag.toUpperCase()), await register(tag, "Somebody")];
  await register(`${tag}a`, "Anna");
  await register(`${tag}b`, "Bert");
  await register(`y${tag}`, `${tag} the 100%`);
  const stranger = await register(`x${tag}`, `not ${tag}`);
  const find = async (query: string, variables: PageVariables & { roomId?: string | null } = {}, as = zed) =>
    (await app.run(SEARCH, { query, ...variables }, as)).searchUsers;
  const names = async (query: string, roomId: string | null = null) =>
    (await find(query, { roomId })).nodes.map(({ username }: Any) => username);
  const all = [tag, `z${tag}`, `${tag}a`, `${tag}b`, `y${tag}`];
  for (const query of [tag, `@${tag}`, ` ${tag.toUpperCase()} `]) assert.deepEqual(await names(query), all, query);
  for (const size of [1, 2, 5, 6]) {
    const ids = all.map((name) => people.get(name)?.id ?? "");
    await assertPages((page) => find(tag, page), ids, size);
  }
  assert.deepEqual(await names(`${tag} the 100%`), [`y${tag}`]);
  for (const query of ["", " @ ", "\0", `${tag}_`, `${tag} the 100_`, `%${tag}`]) {
    assert.deepEqual(await names(query), []);
  }

  assert.deepEqual(
    (await app.run(`query ($query: String!) { searchUsers(query: $query) { nodes { ${ALL} } } }`, { query: tag }, zed))
      .searchUsers.nodes,
    (await app.run(`query ($ids: [ID!]!) { nodes(ids: $ids) { ... on User { ${ALL} } } }`, {
      ids: all.map((name) => people.get(name)?.id),
    }, zed)).nodes,
    "who is found is seen as everywhere else",
  );

  const room = await app.makeRoom(zed, people.get(`${tag}b`) as Person);
  assert.deepEqual(await names(tag, room.id), [`z${tag}`, `${tag}b`]);
  assert.equal(await find(tag, { roomId: room.id }, stranger), null, "who is not in the room asks in vain");
  for (const roomId of [encodeId("room", newId()), "garbage"]) assert.equal(await find(tag, { roomId }), null);
  await app.app.sql`update users set deleted_at = now() where id = ${findId("user", people.get(tag)?.id ?? "")}`;
  assert.deepEqual(await names(tag), all.slice(1), "a deleted account is not found");
  const { body } = await app.post({ query: SEARCH, variables: { query: tag } });
  assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED");
});
