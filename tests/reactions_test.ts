/** Promises of reactions: each person gives an emoji once, everybody sees the same groups, and limits hold in a crowd. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { countExecutions } from "./support/counters.ts";
import { gather } from "./support/crowds.ts";
import { connect } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES } from "./support/pages.ts";
import { changeMember, collide, logSince, readLog } from "./support/rooms.ts";

const GROUPS = "message { reactionGroups { emoji count viewerHasReacted } }";
const EMOJI = [..."🐀🐁🐂🐃🐄🐅🐆🐇🐈🐉🐊🐋🐌🐍🐎🐏🐐🐑🐒🐓🐔🐕🐖🐗🐘"];

async function react(app: TestApp, as: Person, messageId: string, emoji: string): Promise<Any[]> {
  return (await done(app, "addReaction", { messageId, emoji }, as, GROUPS)).message.reactionGroups;
}

async function groupsOf(app: TestApp, as: Person, id: string): Promise<Any[]> {
  const query =
    "query ($id: ID!) { node(id: $id) { ... on Message { reactionGroups { emoji count viewerHasReacted } } } }";
  return (await app.run(query, { id }, as)).node.reactionGroups;
}

Deno.test("reactions are grouped in order of first use; again is nothing new, and taken back is gone", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob, carol);
  const { id } = await app.send(alice, room, "hi");
  await react(app, bob, id, "❤"); // without U+FE0F
  await react(app, bob, id, "👍🏽");
  for (const person of [carol, bob, carol]) await react(app, person, id, "❤️");
  const groups = await react(app, alice, id, "👩‍👩‍👧");
  const group = (emoji: string, count: number, viewerHasReacted: boolean) => ({ emoji, count, viewerHasReacted });
  assert.deepEqual(groups, [group("❤️", 2, false), group("👍🏽", 1, false), group("👩‍👩‍👧", 1, true)]);
  assert.deepEqual(await groupsOf(app, bob, id), [group("❤️", 2, true), group("👍🏽", 1, true), group("👩‍👩‍👧", 1, false)]);

  await react(app, alice, id, "❤️");
  const read = async (args: object) =>
    (await app.run(
      `query ($id: ID!, ${PAGE_VARIABLES}) {
        node(id: $id) { ... on Message { reactionGroups { users(${PAGE_ARGS}) { ${PAGE} } } } }
      }`,
      { id, ...args },
      alice,
    )).node.reactionGroups[0].users;
  for (const size of [1, 2, 3, 4]) await assertPages(read, [bob.id, carol.id, alice.id], size);

  const remove = async (person: Person, emoji: string) =>
    (await done(app, "removeReaction", { messageId: id, emoji }, person, GROUPS)).message.reactionGroups;
  assert.deepEqual(await remove(bob, "❤"), [group("👍🏽", 1, true), group("❤️", 2, false), group("👩‍👩‍👧", 1, false)]);
  await remove(bob, "❤️");
  await remove(bob, "🦊");
  await remove(bob, "👍🏽");
  const kinds = (await logSince(app, room)).slice(1);
  const added = Array.from({ length: 5 }, () => ["REACTION_ADDED", id]);
  assert.deepEqual(kinds, [...added, ["REACTION_REMOVED", id], ["REACTION_REMOVED", id]], "nothing else was logged");

  await done(app, "deleteMessage", { messageId: id }, alice);
  assert.deepEqual(await groupsOf(app, bob, id), []);
  assert.deepEqual(await remove(alice, "❤️"), []);
});

Deno.test("a reaction that is refused says why, and a room that one cannot see is not given away", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(alice, room, "hi");
  for (const emoji of ["", "a", "👍👍", "👍 ", "1", "🇩", "☺︎", "\0", "\ud83d", "🇩🇪🇫🇷", "x".repeat(100_000)]) {
    for (const name of ["addReaction", "removeReaction"]) {
      assert.deepEqual(
        await refusal(app, name, { messageId, emoji }, bob),
        ["INVALID_INPUT", "emoji"],
        emoji.slice(0, 9),
      );
    }
  }
  const { room: hidden } = await done(app, "createRoom", { kind: "PRIVATE", name: "x" }, alice, "room { id slug }");
  const secret = await app.send(alice, hidden, "secret");
  for (const id of ["garbage", room.id, encodeId("message", newId()), secret.id]) {
    for (const name of ["addReaction", "removeReaction"]) {
      assert.deepEqual(await refusal(app, name, { messageId: id, emoji: "👍" }, bob), ["NOT_FOUND", "messageId"]);
    }
  }
  for (const emoji of EMOJI.slice(0, 20)) await react(app, alice, messageId, emoji);
  const one = { messageId, emoji: EMOJI[20] };
  assert.deepEqual(await refusal(app, "addReaction", one, bob), ["TOO_LONG", "emoji", 20]);
  await react(app, bob, messageId, EMOJI[0] ?? "");
  await done(app, "removeReaction", { messageId, emoji: EMOJI[1] }, alice);
  await done(app, "addReaction", one, bob);
  await changeMember(app, { person: bob, room, mutedUntil: new Date(Date.now() + 60_000) });
  assert.deepEqual(await refusal(app, "addReaction", { messageId, emoji: EMOJI[2] }, bob), ["FORBIDDEN", "messageId"]);
  await done(app, "removeReaction", one, bob);
  await done(app, "deleteMessage", { messageId }, alice);
  assert.deepEqual(await refusal(app, "addReaction", one, alice), ["NOT_EDITABLE", "messageId"]);
});

Deno.test("50 people with 25 emoji at once never make more than 20 kinds, and the same 50 times is one event", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const others = await gather(app, room, 49);
  const people = [alice, ...others];
  const { id: messageId } = await app.send(alice, room, "hi");
  const addOne = (person: Person, n: number) =>
    mutate(app, "addReaction", { messageId, emoji: EMOJI[n % EMOJI.length] }, person);
  const early = await Promise.all(people.slice(0, 15).map(addOne));
  const late = await collide(app, room, () => people.slice(15).map((person, n) => addOne(person, n + 15)));
  const answers = [...early, ...late];
  const groups = await groupsOf(app, alice, messageId);
  assert.equal(groups.length, 20);
  const accepted = answers.filter(({ errors }) => errors.length === 0).length;
  for (const { code } of answers.flatMap(({ errors }) => errors)) assert.equal(code, "TOO_LONG");
  assert.equal(groups.reduce((sum, { count }) => sum + count, 0), accepted);
  const added = async () => (await readLog(app, room)).filter(([kind]) => kind === "REACTION_ADDED").length;
  assert.equal(await added(), accepted);

  const { id: second } = await app.send(alice, room, "again");
  await Promise.all(people.map(() => react(app, alice, second, "👍")));
  assert.deepEqual(await groupsOf(app, alice, second), [{ emoji: "👍", count: 1, viewerHasReacted: true }]);
  assert.equal(await added(), accepted + 1);

  const { id: third } = await app.send(alice, room, "soon gone");
  const racing = await collide(app, room, () => [
    ...others.slice(0, 3).map((person) => mutate(app, "addReaction", { messageId: third, emoji: "👍" }, person)),
    mutate(app, "deleteMessage", { messageId: third }, alice),
    ...others.slice(3, 6).map((person) => mutate(app, "addReaction", { messageId: third, emoji: "👍" }, person)),
  ]);
  for (const { code } of racing.flatMap(({ errors }) => errors)) assert.equal(code, "NOT_EDITABLE");
  const left = await app.app.sql`
    select from reactions join messages on messages.id = message_id where deleted_at is not null`;
  assert.equal(left.length, 0, "a tombstone keeps no reaction, not even one that came at the same time");
});

Deno.test("a reaction is live at once, executed once for all who see their own part of it", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(alice, room, "hi");
  const parts = "actor { id } emoji message { id reactionGroups { emoji count viewerHasReacted } }";
  const query = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events {
    __typename ... on ReactionAddedEvent { ${parts} } ... on ReactionRemovedEvent { ${parts} }
  } } }`;
  await using clients = new AsyncDisposableStack();
  const streams: [Person, AsyncIterator<Any>][] = [];
  for (const person of [alice, bob]) {
    const client = connect(app, person);
    clients.defer(async () => await client.dispose());
    const stream = client.iterate<Any>({ query, variables: { roomId: room.id } });
    streams.push([person, stream]);
    await stream.next();
  }
  const before = await countExecutions(app);
  const expectAll = async (event: (person: Person) => object) => {
    for (const [person, stream] of streams) {
      assert.deepEqual((await stream.next()).value.data.roomEvents.events, [event(person)]);
    }
  };
  const shown = { actor: { id: bob.id }, emoji: "❤️" };
  await react(app, bob, messageId, "❤");
  await expectAll((person) => ({
    __typename: "ReactionAddedEvent",
    ...shown,
    message: { id: messageId, reactionGroups: [{ emoji: "❤️", count: 1, viewerHasReacted: person === bob }] },
  }));
  await done(app, "removeReaction", { messageId, emoji: "❤" }, bob);
  await expectAll(() => ({
    __typename: "ReactionRemovedEvent",
    ...shown,
    message: { id: messageId, reactionGroups: [] },
  }));
  assert.equal(await countExecutions(app), before + 2);
});
