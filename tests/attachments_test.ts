/** Promises of files on messages: each is used once, where it was uploaded, by who uploaded it; and goes with its message. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { sendDue } from "../src/messages/scheduler.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { logSince } from "./support/rooms.ts";
import {
  shareFile,
  storedBytes,
  storedFiles,
  textFile,
  untilNothingStored,
  uploaded,
  uploadText,
} from "./support/uploads.ts";

const MESSAGE = "message { id content attachments { id filename status message { id } } }";
const NODE = `query ($id: ID!) { node(id: $id) { id ... on Attachment { filename message { id } } } }`;

Deno.test("a file is its uploader's alone until it is sent, and then everybody's in the room", async () => {
  await using app = await startApp();
  const { alice, bob, stranger, room } = await meet(app);
  const id = await uploadText(app, alice, room);
  const seen = async (as: Person) => (await app.run(NODE, { id }, as)).node?.filename ?? null;
  assert.deepEqual([await seen(alice), await seen(bob), await seen(stranger)], ["hello.txt", null, null]);
  const { message } = await done(app, "sendMessage", { roomId: room.id, attachmentIds: [id] }, alice, MESSAGE);
  assert.equal(message.content, "");
  assert.deepEqual(message.attachments.map((each: Any) => [each.id, each.message.id]), [[id, message.id]]);
  assert.deepEqual([await seen(alice), await seen(bob), await seen(stranger)], ["hello.txt", "hello.txt", null]);
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  assert.equal(await seen(bob), null, "who has left sees nothing of it any more");
});

Deno.test("files come in the order of their author, and a repeated send returns the same message", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  const [one = "", two = "", three = ""] = await uploaded(app, alice, room, ...["1", "2", "3"].map(small));
  const input = { roomId: room.id, content: "look", attachmentIds: [three, one, two], clientMessageId: "a" };
  const { message } = await done(app, "sendMessage", input, alice, MESSAGE);
  assert.deepEqual(message.attachments.map(({ filename }: Any) => filename), ["3.txt", "1.txt", "2.txt"]);
  assert.equal((await done(app, "sendMessage", input, alice, MESSAGE)).message.id, message.id);
  const other = { ...input, attachmentIds: [one, two, three] };
  assert.deepEqual(await refusal(app, "sendMessage", other, alice), ["IDEMPOTENCY_MISMATCH", "clientMessageId"]);
  assert.deepEqual(await logSince(app, room), [["MESSAGE_SENT", message.id]]);
});

Deno.test("a file that is not the sender's, of another room, used already or no file at all sends nothing", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const elsewhere = await app.makeRoom(alice);
  const [mine, theirs, other] = [
    await uploadText(app, alice, room),
    await uploadText(app, bob, room),
    await uploadText(app, alice, elsewhere),
  ];
  const used = await shareFile(app, alice, room);
  const { attachmentId: announced } = await done(
    app,
    "createUpload",
    { roomId: room.id, filename: "film.mp4", byteSize: 100 },
    alice,
    "attachmentId",
  );
  const before = await logSince(app, room);
  for (const wrong of [theirs, other, used, announced, room.id, "garbage"]) {
    const input = { roomId: room.id, content: "look", attachmentIds: [mine, wrong] };
    assert.deepEqual(await refusal(app, "sendMessage", input, alice), ["NOT_FOUND", "attachmentIds", "1"]);
    const later = { ...input, sendAt: new Date(Date.now() + 3_600_000) };
    assert.deepEqual(await refusal(app, "scheduleMessage", later, alice), ["NOT_FOUND", "attachmentIds", "1"]);
  }
  const twice = { roomId: room.id, attachmentIds: [mine, mine] };
  assert.deepEqual(await refusal(app, "sendMessage", twice, alice), ["INVALID_INPUT", "attachmentIds", "1"]);
  const many = { roomId: room.id, attachmentIds: Array.from({ length: 11 }, () => mine) };
  assert.deepEqual(await refusal(app, "sendMessage", many, alice), ["TOO_LONG", "attachmentIds", 10]);
  assert.deepEqual(await refusal(app, "sendMessage", { roomId: room.id, attachmentIds: [] }, alice), [
    "EMPTY",
    "content",
  ]);
  assert.deepEqual(await logSince(app, room), before);
  await done(app, "sendMessage", { roomId: room.id, attachmentIds: [mine] }, alice); // it is still free
});

Deno.test("of two messages with the same file at once one is sent", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  for (let round = 0; round < 10; round++) {
    const attachmentIds = await uploaded(app, alice, room, small("a"), small("b"));
    const reversed = attachmentIds.toReversed();
    const payloads = await Promise.all(
      [attachmentIds, reversed, attachmentIds].map((ids) =>
        mutate(app, "sendMessage", { roomId: room.id, attachmentIds: ids }, alice, MESSAGE)
      ),
    );
    assert.deepEqual(
      payloads.map(({ errors }) => errors[0]?.code ?? "sent").sort(),
      ["NOT_FOUND", "NOT_FOUND", "sent"],
    );
  }
  assert.equal((await logSince(app, room)).length, 10);
});

Deno.test("a deleted file is gone from its message, whose readers are told; what has nothing else becomes a tombstone", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const [one = "", two = ""] = await uploaded(app, alice, room, small("1"), small("2"));
  const { message } = await done(app, "sendMessage", { roomId: room.id, attachmentIds: [one, two] }, alice, MESSAGE);
  await using follower = new RoomFollower(app, bob, room, room.cursor);
  await follower.take(1);
  assert.deepEqual(await refusal(app, "deleteAttachment", { attachmentId: one }, bob), ["FORBIDDEN", "attachmentId"]);
  const first = await done(app, "deleteAttachment", { attachmentId: one }, alice, `deletedAttachmentId ${MESSAGE}`);
  assert.equal(first.deletedAttachmentId, one);
  assert.deepEqual(first.message.attachments.map(({ id }: Any) => id), [two]);
  const last = await done(app, "deleteAttachment", { attachmentId: two }, alice, "message { content deletedAt }");
  assert.equal(last.message.content, null);
  const told = await follower.take(2);
  assert.deepEqual(told.map((event) => [event.__typename, event.message.id]), [
    ["MessageEditedEvent", message.id],
    ["MessageDeletedEvent", message.id],
  ]);
  assert.deepEqual(await refusal(app, "deleteAttachment", { attachmentId: two }, alice), ["NOT_FOUND", "attachmentId"]);
  await untilNothingStored(app);
});

Deno.test("two files of one message deleted at once leave a tombstone, each with one event", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  for (let round = 0; round < 5; round++) {
    const attachmentIds = await uploaded(app, alice, room, small("1"), small("2"), small("3"));
    const { message } = await done(app, "sendMessage", { roomId: room.id, attachmentIds }, alice, MESSAGE);
    const before = (await logSince(app, room)).length;
    await Promise.all(attachmentIds.map((attachmentId) => done(app, "deleteAttachment", { attachmentId }, alice)));
    assert.deepEqual((await logSince(app, room)).slice(before), [
      ["MESSAGE_EDITED", message.id],
      ["MESSAGE_EDITED", message.id],
      ["MESSAGE_DELETED", message.id],
    ]);
  }
  await untilNothingStored(app);
});

Deno.test("the files of a deleted message are deleted, and their bytes count no more", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const id = await uploadText(app, alice, room);
  const { message } = await done(
    app,
    "sendMessage",
    { roomId: room.id, content: "x", attachmentIds: [id] },
    alice,
    MESSAGE,
  );
  assert.equal(await storedBytes(app, alice), 5);
  const tombstone = await done(app, "deleteMessage", { messageId: message.id }, alice, MESSAGE);
  assert.deepEqual(tombstone.message.attachments, []);
  assert.equal((await app.run(NODE, { id }, bob)).node, null);
  await untilNothingStored(app);
  assert.equal(await storedBytes(app, alice), 0);
});

Deno.test("a tombstone that a node of the release before makes has no files either", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const id = await uploadText(app, alice, room);
  const { message } = await done(app, "sendMessage", { roomId: room.id, attachmentIds: [id] }, alice, MESSAGE);
  await app.app.sql`update messages set content = null, deleted_at = now() where id = ${findId("message", message.id)}`;
  assert.equal((await app.run(NODE, { id }, bob)).node, null);
  const [row] = await app.app.sql<Any[]>`select attachment_count from messages where id = ${
    findId("message", message.id)
  }`;
  assert.equal(row.attachmentCount, 0);
});

Deno.test("what was only announced can be given up, and so can a file in a room that one has left", async () => {
  await using app = await startApp();
  const { bob, room } = await meet(app);
  const announce = { roomId: room.id, filename: "film.mp4", byteSize: 100 };
  const { attachmentId } = await done(app, "createUpload", announce, bob, "attachmentId");
  const unsent = await uploadText(app, bob, room);
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  for (const id of [attachmentId, unsent]) await done(app, "deleteAttachment", { attachmentId: id }, bob);
  await untilNothingStored(app);
  assert.equal(await storedBytes(app, bob), 0);
});

Deno.test("text may be taken from a message that has files, not from one that has none", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  const id = await uploadText(app, alice, room);
  const input = { roomId: room.id, content: "caption", attachmentIds: [id] };
  const { message } = await done(app, "sendMessage", input, alice, MESSAGE);
  await done(app, "editMessage", { messageId: message.id, content: " " }, alice);
  const plain = await app.send(alice, room, "plain");
  assert.deepEqual(await refusal(app, "editMessage", { messageId: plain.id, content: " " }, alice), [
    "EMPTY",
    "content",
  ]);
});

Deno.test("a scheduled message keeps its files for itself, sends them, and gives them back when it is canceled", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  const SCHEDULED = "scheduledMessage { id content attachments { id filename } }";
  const schedule = (attachmentIds: readonly string[], content = "") =>
    done(
      app,
      "scheduleMessage",
      { roomId: room.id, content, attachmentIds, sendAt: new Date(Date.now() + 3_600_000) },
      alice,
      SCHEDULED,
    );
  const ids = await uploaded(app, alice, room, small("1"), small("2"));
  const { scheduledMessage: canceled } = await schedule(ids);
  assert.deepEqual(canceled.attachments.map(({ id }: Any) => id), ids);
  const now = { roomId: room.id, attachmentIds: ids };
  assert.deepEqual(await refusal(app, "sendMessage", now, alice), ["NOT_FOUND", "attachmentIds", "0"]);
  await done(app, "cancelScheduledMessage", { scheduledMessageId: canceled.id }, alice);
  const { scheduledMessage } = await schedule(ids.toReversed(), "with text");
  const change = { scheduledMessageId: scheduledMessage.id, content: "" };
  await done(app, "updateScheduledMessage", change, alice);
  await app.app.sql`update scheduled_messages set send_at = now() where id = ${
    findId("scheduled", scheduledMessage.id)
  }`;
  await eventually("the message is sent", async () => {
    await sendDue(app.app);
    return (await logSince(app, room)).length === 1;
  });
  const query = `query ($id: ID!) { node(id: $id) { ... on ScheduledMessage {
    attachments { id } sentMessage { content attachments { id } }
  } } }`;
  const { node } = await app.run(query, { id: scheduledMessage.id }, alice);
  assert.deepEqual(node.sentMessage, { content: "", attachments: ids.toReversed().map((id) => ({ id })) });
  assert.deepEqual(node.attachments, node.sentMessage.attachments);
});

Deno.test("the files of a room come newest first, page by page and by kind; a search finds messages by their files", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  await uploadText(app, alice, room); // not sent, so in no list
  const names: string[] = [];
  for (const name of ["1", "2", "3"]) {
    const attachmentIds = await uploaded(app, alice, room, small(`${name}a`), small(`${name}b`));
    await done(app, "sendMessage", { roomId: room.id, content: `found ${name}`, attachmentIds }, alice);
    names.unshift(`${name}b.txt`, `${name}a.txt`);
  }
  await app.app.sql`update attachments set media_kind = 'AUDIO' where filename like '2%'`;
  await app.send(bob, room, "found without a file");
  const list = async (args: string) => {
    const query = `query ($id: ID!) { room(id: $id) { attachments(${args}) {
      nodes { filename } pageInfo { hasNextPage hasPreviousPage endCursor startCursor }
    } } }`;
    return (await app.run(query, { id: room.id }, bob)).room.attachments;
  };
  const namesOf = ({ nodes }: Any) => nodes.map(({ filename }: Any) => filename);
  const first = await list("first: 4");
  assert.deepEqual([namesOf(first), first.pageInfo.hasNextPage], [names.slice(0, 4), true]);
  const second = await list(`first: 4, after: "${first.pageInfo.endCursor}"`);
  assert.deepEqual([namesOf(second), second.pageInfo.hasNextPage], [names.slice(4), false]);
  const back = await list(`last: 2, before: "${second.pageInfo.startCursor}"`);
  assert.deepEqual([namesOf(back), back.pageInfo.hasPreviousPage], [names.slice(2, 4), true]);
  assert.deepEqual(namesOf(await list("mediaKinds: [AUDIO]")), ["2b.txt", "2a.txt"]);
  assert.deepEqual(namesOf(await list("mediaKinds: [IMAGE]")), []);
  const search = `query ($filter: MessageSearchFilter) { searchMessages(query: "found", filter: $filter) {
    nodes { content }
  } }`;
  const find = async (mediaKinds: readonly string[]) =>
    (await app.run(search, { filter: { mediaKinds } }, bob)).searchMessages.nodes.map(({ content }: Any) => content);
  assert.deepEqual(await find(["AUDIO", "IMAGE"]), ["found 2"]);
  assert.deepEqual(await find(["OTHER"]), ["found 3", "found 1"]);
  assert.deepEqual(await find(["VIDEO"]), []);
});

Deno.test("a deleted account keeps the files that it has sent, and nothing else", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const [unsent, sent] = [await uploadText(app, bob, room, "draft"), await shareFile(app, bob, room, "sent")];
  await done(app, "deleteAccount", { password: bob.password }, bob);
  const seen = async (id: string) => (await app.run(NODE, { id }, alice)).node?.filename ?? null;
  assert.deepEqual([await seen(unsent), await seen(sent)], [null, "hello.txt"]);
  await eventually("the draft is deleted", async () => (await storedFiles(app)).length === 1);
});

async function meet(app: TestApp) {
  const [alice, bob, stranger] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  return { alice, bob, stranger, room: await app.makeRoom(alice, bob) satisfies TestRoom };
}

function small(name: string) {
  return textFile(`${name}.txt`, name);
}
