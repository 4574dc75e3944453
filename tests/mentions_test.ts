/** Promises of mentions: who is called by a text, and who is not. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { parseMentions } from "../src/messages/mentions.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { changeMember, collide } from "./support/rooms.ts";

Deno.test("a name is called by @ before it, wherever it is not part of a word or of code", () => {
  const texts: [text: string, names: string[]][] = [
    ["@alice", ["alice"]],
    ["Hi @Alice, @BOB_1 and (@c.d)! @alice again", ["alice", "bob_1", "c.d"]],
    ["Ask @alice. Or @bob... ok", ["alice", "bob"]],
    ["alice@example.com é@alice 1@alice _@alice", []],
    ["**@alice** \n> @bob\n- @carol", ["alice", "bob", "carol"]],
    ["`@alice` ``@bob ` @bob`` @carol", ["carol"]],
    ["`open @alice", ["alice"]],
    ["\\`@alice\\`", ["alice"]],
    ["```\n@alice\n```\n@bob", ["bob"]],
    ["~~~ts\n@alice\n```\n@alice\n~~~\r\n@bob", ["bob"]],
    ["````\n```\n@alice\n````\n@bob\n```\n@never closed", ["bob"]],
    ["@al @ @@dave @zoë", ["dave"]],
  ];
  for (const [text, names] of texts) assert.deepEqual(parseMentions(text), { names, everyone: false }, text);
  assert.deepEqual(parseMentions("@everyone @Everyone."), { names: [], everyone: true });
  parseMentions("`".repeat(100_000) + "@x `".repeat(25_000)); // no text takes long
});

const MENTIONS = "message { id mentionsEveryone mentionedUsers { id } }";

async function mentionedIn(app: TestApp, as: Person, name: string, input: object): Promise<string[]> {
  const { message } = await done(app, name, input, as, MENTIONS);
  return message.mentionedUsers.map(({ id }: Any) => id).toSorted();
}

Deno.test("a mention reaches members of the room, and follows the text through edits until it is deleted", async () => {
  await using app = await startApp();
  const names = ["alice", "bob", "carol", "dave", "eve"];
  const [alice, bob, carol, dave, eve] = await Promise.all(names.map((name) => app.signUp(name))) as [
    Person,
    Person,
    Person,
    Person,
    Person,
  ];
  const room = await app.makeRoom(alice, bob, carol, dave);
  const [daveId = "", aliceId = ""] = [dave, alice].map(({ id }) => findId("user", id) ?? "");
  await app.app.sql`insert into blocks (blocker_id, blocked_id) values (${daveId}, ${aliceId})`;
  const at = (...people: Person[]) => people.map(({ username }) => `@${username.toUpperCase()}`).join(" ");
  const content = `${at(alice, bob, carol, dave, eve)} @nobody_at_all`;
  const { message } = await done(app, "sendMessage", { roomId: room.id, content }, alice, MENTIONS);
  const messageId = message.id;
  const sorted = (...people: Person[]) => people.map(({ id }) => id).toSorted();
  assert.deepEqual(message.mentionedUsers.map(({ id }: Any) => id).toSorted(), sorted(bob, carol));
  const edit = (text: string) => mentionedIn(app, alice, "editMessage", { messageId, content: text });
  assert.deepEqual(await edit(`only ${at(carol)}`), sorted(carol));
  assert.deepEqual(await edit(`and ${at(carol, bob)}`), sorted(bob, carol));
  assert.deepEqual(await mentionedIn(app, alice, "deleteMessage", { messageId }), []);

  const many = Array.from({ length: 51 }, (_, n) => `@name_${n}`);
  const tooMany = { roomId: room.id, content: many.join(" ") };
  assert.deepEqual(await refusal(app, "sendMessage", tooMany, alice), ["TOO_LONG", "content", 50]);
  const { id } = await app.send(alice, room, many.slice(1).join(" "));
  const edited = { messageId: id, content: many.join(" ") };
  assert.deepEqual(await refusal(app, "editMessage", edited, alice), ["TOO_LONG", "content", 50]);
});

Deno.test("@everyone takes the permission; from anybody else it is plain text", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const send = async (as: Person) =>
    (await done(app, "sendMessage", { roomId: room.id, content: "@everyone" }, as, MENTIONS)).message;
  assert.equal((await send(alice)).mentionsEveryone, true);
  const plain = await send(bob);
  assert.equal(plain.mentionsEveryone, false);
  await done(app, "updateMember", { roomId: room.id, userId: bob.id, role: "MODERATOR" }, alice);
  const edit = async (content: string) =>
    (await done(app, "editMessage", { messageId: plain.id, content }, bob, MENTIONS)).message.mentionsEveryone;
  assert.equal(await edit("@everyone!"), true);
  await changeMember(app, { person: bob, room, mutedUntil: new Date(Date.now() + 60_000) });
  const muted = { messageId: plain.id, content: "no" };
  assert.deepEqual(await refusal(app, "editMessage", muted, bob), ["FORBIDDEN", "messageId"]);
  await done(app, "deleteMessage", { messageId: plain.id }, bob);
});

Deno.test("edits and a deletion at once leave only the mentions that the message still has", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob, carol);
  const { id: messageId } = await app.send(alice, room, "hi");
  const edit = (content: string) => mutate(app, "editMessage", { messageId, content }, alice, "message { content }");
  await collide(app, room, () => [edit(`@${bob.username}`), edit(`@${carol.username}`), edit("nobody")]);
  const read = async () =>
    (await app.run(
      "query ($id: ID!) { node(id: $id) { ... on Message { content mentionedUsers { username } } } }",
      { id: messageId },
      bob,
    )).node;
  const { content, mentionedUsers } = await read();
  assert.deepEqual(mentionedUsers.map(({ username }: Any) => `@${username}`), content === "nobody" ? [] : [content]);
  await collide(app, room, () => [edit(`@${bob.username} 2`), mutate(app, "deleteMessage", { messageId }, alice)]);
  assert.deepEqual(await read(), { content: null, mentionedUsers: [] });
});
