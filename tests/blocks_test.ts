/** Promises of blocks: one's own list, seen by nobody else. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { type Person, startApp, type TestApp } from "./support/app.ts";
import { done, refusal } from "./support/mutations.ts";
import { assertPages, idsOf, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";
import { Subscription } from "./support/subscriptions.ts";
import { toldTo } from "./support/viewer_logs.ts";

Deno.test("who was blocked is on one's own list, the last one first, and on nobody else's", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  assert.deepEqual(await blockedBy(app, alice), []);
  const others: Person[] = [];
  for (let i = 0; i < 5; i++) others.push(await app.signUp());
  for (const { id } of others) {
    const { user } = await done(app, "blockUser", { userId: id }, alice, "user { id viewerHasBlocked }");
    assert.deepEqual(user, { id, viewerHasBlocked: true });
  }
  const newestFirst = others.map(({ id }) => id).toReversed();
  const read = async (variables: PageVariables) => {
    const document = `query (${PAGE_VARIABLES}) { viewer { blockedUsers(${PAGE_ARGS}) { ${PAGE} } } }`;
    return (await app.run(document, variables, alice)).viewer.blockedUsers;
  };
  for (const size of [1, 2, 5]) await assertPages(read, newestFirst, size);
  await done(app, "blockUser", { userId: others[0]?.id }, alice);
  assert.deepEqual(await blockedBy(app, alice), newestFirst, "blocked twice, one keeps the place");
  assert.deepEqual(await blockedBy(app, bob), []);
  const [last] = others.slice(-1);
  const { user } = await done(app, "unblockUser", { userId: last?.id }, alice, "user { id viewerHasBlocked }");
  assert.deepEqual(user, { id: last?.id, viewerHasBlocked: false });
  await done(app, "unblockUser", { userId: last?.id }, alice);
  assert.deepEqual(await blockedBy(app, alice), newestFirst.slice(1));
  const told = await toldTo(app, alice);
  assert.deepEqual(
    told,
    Array(6).fill("VIEWER_UPDATED"),
    "the other devices are told of what changed, and only of that",
  );
  assert.deepEqual(await toldTo(app, others[0] ?? bob), [], "the blocked one is not");
});

Deno.test("a block shows to the one who made it only, in queries and in live events", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob, carol);
  await done(app, "blockUser", { userId: bob.id }, alice);
  const document = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on User { viewerHasBlocked } } }";
  const sees = async (person: Person) => {
    const { nodes } = await app.run(document, { ids: [alice.id, bob.id, carol.id] }, person);
    return nodes.map(({ viewerHasBlocked }: { viewerHasBlocked: boolean }) => viewerHasBlocked);
  };
  assert.deepEqual(await sees(alice), [false, true, false]);
  assert.deepEqual(await sees(bob), [false, false, false]);
  const query = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events {
    ... on MessageSentEvent { message { author { viewerHasBlocked } } }
  } } }`;
  await using open = new AsyncDisposableStack();
  const streams = [alice, carol].map((person) => {
    return open.use(new Subscription(app, person, { query, variables: { roomId: room.id } }));
  });
  for (const stream of streams) await stream.next();
  const authors = async () => {
    const batches = await Promise.all(streams.map((stream) => stream.next()));
    return batches.map(({ events }) => events[0].message.author.viewerHasBlocked);
  };
  await app.send(bob, room, "one");
  assert.deepEqual(await authors(), [true, false]);
  await done(app, "unblockUser", { userId: bob.id }, alice);
  await app.send(bob, room, "two");
  assert.deepEqual(await authors(), [false, false]);
});

Deno.test("one blocks others who are there, not oneself and not nobody", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  assert.deepEqual(await refusal(app, "blockUser", { userId: alice.id }, alice), ["INVALID_INPUT", "userId"]);
  for (const userId of [encodeId("user", newId()), "garbage", "", alice.id.replace("user_", "viewer_")]) {
    for (const name of ["blockUser", "unblockUser"]) {
      assert.deepEqual(await refusal(app, name, { userId }, alice), ["NOT_FOUND", "userId"], `${name} ${userId}`);
    }
  }
  await done(app, "blockUser", { userId: bob.id }, alice);
  await done(app, "deleteAccount", { password: bob.password }, bob);
  assert.deepEqual(await blockedBy(app, alice), [], "a block goes with the account");
  assert.deepEqual(await refusal(app, "blockUser", { userId: bob.id }, alice), ["NOT_FOUND", "userId"]);
  for (const name of ["blockUser", "unblockUser"]) {
    const { body } = await app.post({ query: `mutation { ${name}(input: { userId: "${bob.id}" }) { user { id } } }` });
    assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED", name);
  }
});

async function blockedBy(app: TestApp, person: Person): Promise<string[]> {
  const { viewer } = await app.run("{ viewer { blockedUsers { edges { node { id } } } } }", {}, person);
  return idsOf(viewer.blockedUsers);
}
