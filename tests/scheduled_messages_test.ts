/** Promises of messages that are sent later: once, at their time, by who may still send, and whatever happens to the server. */
import { strict as assert } from "node:assert";
import { sendDue } from "../src/messages/scheduler.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { createTestDatabase, TEST_DATABASE_URL } from "./support/databases.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { ServerProcess } from "./support/processes.ts";
import { Subscription } from "./support/subscriptions.ts";

const SELECT = "scheduledMessage { id content sendAt status failureReason sentMessage { id content } room { id } }";
const UPDATES = `subscription { viewerEvents { events {
  ... on ScheduledMessageUpdatedEvent { ${SELECT} }
} } }`;
const LIST = `query ($roomId: ID) { viewer { scheduledMessages(roomId: $roomId) { nodes { id content status } } } }`;

const HOUR_MS = 3_600_000;

Deno.test("a scheduled message can be read, changed and canceled by its author until it is sent", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const [room, other] = [await app.makeRoom(alice, bob), await app.makeRoom(alice)];
  const schedule = (content: string, afterMs: number, roomId = room.id) =>
    scheduled(app, alice, { roomId, content, sendAt: inMs(afterMs) });
  const later = await schedule("later", 2 * HOUR_MS);
  const sooner = await schedule("sooner", HOUR_MS);
  const elsewhere = await schedule("elsewhere", 3 * HOUR_MS, other.id);
  const list = async (roomId?: string) =>
    (await app.run(LIST, { roomId }, alice)).viewer.scheduledMessages.nodes.map(({ content }: Any) => content);
  assert.deepEqual(await list(), ["sooner", "later", "elsewhere"]);
  assert.deepEqual(await list(other.id), ["elsewhere"]);

  const sendAt = inMs(4 * HOUR_MS);
  const changes = { scheduledMessageId: sooner.id, content: " much later ", sendAt };
  const { scheduledMessage } = await done(app, "updateScheduledMessage", changes, alice, SELECT);
  assert.deepEqual([scheduledMessage.content, scheduledMessage.sendAt], ["much later", sendAt]);
  assert.deepEqual(await list(), ["later", "elsewhere", "much later"]);
  await done(app, "cancelScheduledMessage", { scheduledMessageId: later.id }, alice);
  assert.deepEqual(await list(), ["elsewhere", "much later"]);

  const node = `query ($id: ID!) { node(id: $id) { id } }`;
  assert.deepEqual((await app.run(node, { id: elsewhere.id }, alice)).node, { id: elsewhere.id });
  assert.equal((await app.run(node, { id: elsewhere.id }, bob)).node, null, "nobody else sees it");
  for (const name of ["updateScheduledMessage", "cancelScheduledMessage"]) {
    const refused = (scheduledMessageId: string, as: Person) => refusal(app, name, { scheduledMessageId }, as);
    assert.deepEqual(await refused(later.id, alice), ["NOT_SCHEDULABLE", "scheduledMessageId"]);
    for (const id of [elsewhere.id, "scheduled_01jd3v5n0pf8ttwd9kzq0a3m6x", "garbage", room.id]) {
      assert.deepEqual(await refused(id, bob), ["NOT_FOUND", "scheduledMessageId"]);
    }
  }
});

Deno.test("a message that cannot be scheduled says why, and a repeated one is scheduled once", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const [room, hidden] = [await app.makeRoom(alice), await app.makeRoom(bob)];
  const quoted = await app.send(bob, hidden, "in another room");
  const good = { roomId: room.id, content: "later", sendAt: inMs(HOUR_MS) };
  const refused: [change: object, answer: (string | number)[]][] = [
    [{ content: " " }, ["EMPTY", "content"]],
    [{ content: "x".repeat(4001) }, ["TOO_LONG", "content", 4000]],
    [{ sendAt: inMs(-1000) }, ["NOT_SCHEDULABLE", "sendAt"]],
    [{ sendAt: inMs(400 * 24 * HOUR_MS) }, ["INVALID_INPUT", "sendAt"]],
    [{ replyToId: quoted.id }, ["NOT_FOUND", "replyToId"]],
    [{ replyToId: "garbage" }, ["NOT_FOUND", "replyToId"]],
    [{ clientMessageId: "x".repeat(65) }, ["TOO_LONG", "clientMessageId", 64]],
    [{ roomId: hidden.id }, ["NOT_A_MEMBER", "roomId"]],
    [{ roomId: "garbage" }, ["NOT_FOUND", "roomId"]],
  ];
  for (const [change, answer] of refused) {
    assert.deepEqual(
      await refusal(app, "scheduleMessage", { ...good, ...change }, alice),
      answer,
      JSON.stringify(change),
    );
  }
  const input = { ...good, clientMessageId: "the one" };
  const all = await Promise.all(Array.from({ length: 20 }, () => scheduled(app, alice, input)));
  assert.equal(new Set(all.map(({ id }) => id)).size, 1);
  assert.deepEqual(await refusal(app, "scheduleMessage", { ...input, content: "another" }, alice), [
    "IDEMPOTENCY_MISMATCH",
    "clientMessageId",
  ]);
  for (let count = 1; count < 100; count++) await scheduled(app, alice, good);
  assert.deepEqual(await refusal(app, "scheduleMessage", good, alice), ["TOO_LONG", 100]);
  assert.equal((await scheduled(app, alice, input)).id, all[0].id, "a retry is answered all the same");
});

Deno.test("at its time a message is sent as its author, or fails with the reason why it could not be", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob, carol);
  const quoted = await app.send(alice, room, "When?");
  await using devices = new AsyncDisposableStack();
  const streams = [bob, carol].map((person) => devices.use(new Subscription(app, person, { query: UPDATES })));
  for (const stream of streams) await stream.next();
  await using follower = new RoomFollower(app, alice, room, quoted.cursor);
  const sendAt = inMs(1_500);
  const sent = await scheduled(app, bob, { roomId: room.id, content: "Now!", replyToId: quoted.id, sendAt });
  const failed = await scheduled(app, carol, { roomId: room.id, content: "Me too", sendAt });
  const canceled = await scheduled(app, bob, { roomId: room.id, content: "Never", sendAt });
  await done(app, "cancelScheduledMessage", { scheduledMessageId: canceled.id }, bob);
  await done(app, "leaveRoom", { roomId: room.id }, carol);

  const [ofBob, ofCarol] = await Promise.all(
    streams.map((stream) =>
      stream.until(({ events }) =>
        events.some((event: Any) => ["SENT", "FAILED"].includes(event.scheduledMessage?.status))
      )
    ),
  );
  const last = (batches: Any[] = []) => batches.at(-1).events.at(-1).scheduledMessage;
  assert.deepEqual([last(ofBob).id, last(ofBob).status, last(ofBob).sentMessage.content], [sent.id, "SENT", "Now!"]);
  assert.deepEqual([last(ofCarol).id, last(ofCarol).status, last(ofCarol).failureReason], [
    failed.id,
    "FAILED",
    "NOT_A_MEMBER",
  ]);
  const events = await follower.take(2); // carol leaves, bob's message
  assert.deepEqual(events.map(({ __typename }) => __typename).slice(0, 2), ["MemberRemovedEvent", "MessageSentEvent"]);
  const { node } = await app.run(
    `query ($id: ID!) { node(id: $id) { ... on Message { author { id } replyTo { id } createdAt } } }`,
    { id: last(ofBob).sentMessage.id },
    alice,
  );
  assert.deepEqual([node.author.id, node.replyTo.id], [bob.id, quoted.id]);
  assert.ok(Date.parse(node.createdAt) >= Date.parse(sendAt), "not before its time");
  assert.deepEqual(await refusal(app, "cancelScheduledMessage", { scheduledMessageId: sent.id }, bob), [
    "NOT_SCHEDULABLE",
    "scheduledMessageId",
  ]);
  await done(app, "cancelScheduledMessage", { scheduledMessageId: failed.id }, carol); // puts it away
});

Deno.test("what waits for the end of slow mode can still be changed and canceled", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);
  await done(app, "updateRoom", { roomId: room.id, slowModeSeconds: 3600 }, alice);
  await app.send(bob, room, "Now I wait for an hour");
  const { id } = await scheduled(app, bob, { roomId: room.id, content: "later", sendAt: inMs(HOUR_MS) });
  await app.app.sql`update scheduled_messages set send_at = now()`;
  await sendDue(app.app);
  const change = { scheduledMessageId: id, sendAt: inMs(HOUR_MS) };
  await done(app, "updateScheduledMessage", change, bob);
  await app.app.sql`update scheduled_messages set send_at = now()`;
  await sendDue(app.app);
  await done(app, "cancelScheduledMessage", { scheduledMessageId: id }, bob);
});

Deno.test("killed while it sends what is due, a server leaves every message to be sent once by the next one", async () => {
  const count = 60;
  await using database = await createTestDatabase();
  const env = { ...database.config };
  await using first = new ServerProcess(env);
  const api = await first.api();
  const [alice, bob] = [await api.signUp("alice"), await api.signUp("bob")];
  const room = await api.makeRoom(alice, bob);
  const sendAt = inMs(3_000);
  await Promise.all(Array.from({ length: count }, async (_, index) => {
    const input = { roomId: room.id, content: `message ${index}`, sendAt };
    const { errors } = await mutate(api, "scheduleMessage", input, alice);
    assert.deepEqual(errors, []);
  }));
  // Postgres lets a second server wait beside the first; the embedded database is taken over once the first is gone.
  await using beside = TEST_DATABASE_URL === null ? null : new ServerProcess(env);
  await beside?.api();
  {
    await using follower = new RoomFollower(api, bob, room, room.cursor);
    await follower.take(1);
    await first.kill("SIGKILL");
  }
  await using second = beside ?? new ServerProcess(env);
  const next = await second.api();
  await using follower = new RoomFollower(next, bob, room, room.cursor);
  const events = await follower.take(count);
  const contents = events.map(({ message }) => message.content);
  assert.deepEqual(contents.sort(), Array.from({ length: count }, (_, index) => `message ${index}`).sort());
  const { viewer } = await next.run(LIST, {}, alice);
  assert.deepEqual(viewer.scheduledMessages.nodes, []);
  const { room: { messages } } = await next.run(
    `query ($id: ID!) { room(id: $id) { messages(last: 100) { nodes { id } } } }`,
    { id: room.id },
    bob,
  );
  assert.equal(messages.nodes.length, count);
});

async function scheduled(app: Pick<TestApp, "run">, as: Person, input: object): Promise<Any> {
  return (await done(app, "scheduleMessage", input, as, SELECT)).scheduledMessage;
}

function inMs(ms: number): string {
  return new Date(Date.now() + ms).toISOString();
}
