/** Promises of sending messages: what is stored is what was written, and what can't be stored is refused with a reason. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { logSince } from "./support/rooms.ts";

Deno.test("a message that cannot be sent says which field is wrong and why, and burns no number", async () => {
  await using app = await startApp({ MAX_MESSAGE_LENGTH: "10" });
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice);
  const good = { roomId: room.id, content: "hi" };
  const refused: [change: object, answer: (string | number)[]][] = [
    [{ content: "" }, ["EMPTY", "content"]],
    [{ content: null }, ["EMPTY", "content"]],
    [{ content: " \n\t\u00a0\u3000 " }, ["EMPTY", "content"]],
    [{ content: "12345678901" }, ["TOO_LONG", "content", 10]],
    [{ content: "🦊".repeat(11) }, ["TOO_LONG", "content", 10]],
    [{ content: "NUL\0" }, ["INVALID_INPUT", "content"]],
    [{ content: "half \ud83e" }, ["INVALID_INPUT", "content"]],
    [{ content: "\udd8a half" }, ["INVALID_INPUT", "content"]],
    [{ clientMessageId: "" }, ["EMPTY", "clientMessageId"]],
    [{ clientMessageId: "   " }, ["EMPTY", "clientMessageId"]],
    [{ clientMessageId: "c".repeat(65) }, ["TOO_LONG", "clientMessageId", 64]],
    [{ clientMessageId: `c${" ".repeat(64)}` }, ["TOO_LONG", "clientMessageId", 64]],
    [{ clientMessageId: "a\0b" }, ["INVALID_INPUT", "clientMessageId"]],
    [{ clientMessageId: "\ud83e" }, ["INVALID_INPUT", "clientMessageId"]],
    [{ roomId: "garbage" }, ["NOT_FOUND", "roomId"]],
    [{ roomId: alice.id }, ["NOT_FOUND", "roomId"]],
  ];
  for (const [change, answer] of refused) {
    const actual = await refusal(app, "sendMessage", { ...good, ...change }, alice);
    assert.deepEqual(actual, answer, JSON.stringify(change));
  }
  assert.deepEqual(await refusal(app, "sendMessage", good, bob), ["NOT_A_MEMBER", "roomId"]);
  assert.deepEqual(await logSince(app, room), []);
  const longest = { ...good, content: ` ${"🦊".repeat(10)} `, clientMessageId: "c".repeat(64) };
  await done(app, "sendMessage", longest, alice);
  assert.equal((await logSince(app, room)).length, 1);
});

Deno.test("a message is kept as it was written: trimmed at its ends, and not a character else", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const texts = [
    "**bold** _it_ `code`\n\n```ts\n  const a = '<b>\"&amp;';\n```\n> quote\t|  two  spaces",
    "Zoe\u0308 and Zo\u00eb stay different 👩‍👩‍👧 \u202eright to left\u202c",
    "<script>alert(1)</script> '; drop table messages; -- \\0 %s ${x}",
    "line\r\nline\u0001\u007f",
  ];
  for (const text of texts) {
    const { content } = await app.send(alice, room, `\n  ${text} \t\n`);
    assert.equal(content, text);
  }
  const { room: { messages } } = await app.run(
    "query ($id: ID!) { room(id: $id) { messages { edges { node { content } } } } }",
    { id: room.id },
    alice,
  );
  assert.deepEqual(messages.edges.map(({ node }: Any) => node.content), texts);
});

Deno.test("a sent message carries all that a client shows of it, and moves its room to the front", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const select = `
    message { id content author { id } room { id } createdAt editedAt deletedAt clientMessageId viewerCanEdit viewerCanDelete }
    messageEdge { cursor node { id } } room { eventCursor lastActivityAt lastMessage { id } }`;
  const input = { roomId: room.id, content: "hi", clientMessageId: "mine-1" };
  const { message, messageEdge, room: after } = await done(app, "sendMessage", input, alice, select);
  const { id, createdAt, ...shown } = message;
  assert.deepEqual(shown, {
    content: "hi",
    author: { id: alice.id },
    room: { id: room.id },
    editedAt: null,
    deletedAt: null,
    clientMessageId: "mine-1",
    viewerCanEdit: true,
    viewerCanDelete: true,
  });
  assert.deepEqual(after, { eventCursor: messageEdge.cursor, lastActivityAt: createdAt, lastMessage: { id } });
  assert.equal(messageEdge.node.id, id);
});

Deno.test("only the author sees the id that the author's client chose", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const input = { roomId: room.id, content: "hi", clientMessageId: "secret" };
  const { message: { id } } = await done(app, "sendMessage", input, bob, "message { id }");
  const read = async (person: typeof alice) =>
    (await app.run("query ($id: ID!) { node(id: $id) { ... on Message { clientMessageId } } }", { id }, person)).node;
  assert.deepEqual(await read(bob), { clientMessageId: "secret" });
  assert.deepEqual(await read(alice), { clientMessageId: null });
  await done(app, "sendMessage", { ...input, content: "the same id is free for others" }, alice);
});

Deno.test("everybody is told what they may do to a message, and may do exactly that", async () => {
  await using app = await startApp();
  const names = ["owner", "moderator", "author", "member", "stranger"];
  const people = await Promise.all(names.map((name) => app.signUp(name)));
  const [owner, moderator, author, member] = people as [Any, Any, Any, Any];
  const room = await app.makeRoom(owner, moderator, author, member);
  await done(app, "updateMember", { roomId: room.id, userId: moderator.id, role: "MODERATOR" }, owner);
  const rights = [[false, true], [false, true], [true, true], [false, false], null];
  const document = "query ($id: ID!) { node(id: $id) { ... on Message { viewerCanEdit viewerCanDelete } } }";
  const toldTo = async (person: typeof owner, id: string) => {
    const { node } = await app.run(document, { id }, person);
    return node && [node.viewerCanEdit, node.viewerCanDelete];
  };
  for (const [index, person] of people.entries()) {
    const { id: messageId } = await app.send(author, room, "hi");
    const told = await toldTo(person, messageId);
    assert.deepEqual(told, rights[index], names[index]);
    const code = told === null ? "NOT_FOUND" : "FORBIDDEN";
    const attempts = [["editMessage", { messageId, content: "new" }], ["deleteMessage", { messageId }]] as const;
    for (const [attempt, [name, input]] of attempts.entries()) {
      const { errors } = await mutate(app, name, input, person);
      const answer = errors.map((error: Any) => [error.code, ...error.path]);
      assert.deepEqual(answer, told?.[attempt] ? [] : [[code, "messageId"]], `${name} by ${names[index]}`);
    }
    await done(app, "deleteMessage", { messageId }, author);
    assert.deepEqual(await toldTo(person, messageId), told && [false, false], "nothing is left to do to a tombstone");
  }
});
