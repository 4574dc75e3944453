/** Promises of notifications: what is worth one, to whom, and how it is read. */
import { strict as assert } from "node:assert";
import { encodeId, findId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done, refusal } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES } from "./support/pages.ts";

const LIST = `query { viewer { unreadNotificationCount notifications(first: 100) { nodes {
  id kind readAt createdAt actor { id } subject { __typename ... on Message { id content } }
} } } }`;

async function notificationsOf(app: TestApp, as: Person): Promise<Any[]> {
  const { viewer } = await app.run(LIST, {}, as);
  assert.equal(viewer.unreadNotificationCount, viewer.notifications.nodes.filter((each: Any) => !each.readAt).length);
  return viewer.notifications.nodes;
}

/** Kind and message of each, newest first. */
async function newsOf(app: TestApp, as: Person): Promise<[kind: string, messageId: string][]> {
  return (await notificationsOf(app, as)).map(({ kind, subject }) => [kind, subject?.id ?? null]);
}

/** How many events the person's own log has of each kind. */
async function logOf({ app }: TestApp, { id }: Person): Promise<Record<string, number>> {
  const rows = await app.sql<{ kind: string; count: number }[]>`
    select kind, count(*)::int as count from viewer_events where user_id = ${findId("user", id)} group by kind`;
  return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
}

Deno.test("mentions, replies and reactions notify whom they concern, once for each message", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob, carol);
  const send = async (as: Person, content: string, input: object = {}) =>
    (await done(app, "sendMessage", { roomId: room.id, content, ...input }, as, "message { id }")).message.id;
  const root = await send(alice, "root");
  const quoted = await send(bob, "quoted");
  const both = await send(carol, `@${alice.username} see`, { replyToId: quoted, threadRootId: root });
  await done(app, "addReaction", { messageId: both, emoji: "👍" }, alice);
  await done(app, "addReaction", { messageId: both, emoji: "🎉" }, alice);
  await done(app, "removeReaction", { messageId: both, emoji: "👍" }, alice);
  await done(app, "addReaction", { messageId: both, emoji: "👍" }, alice);
  await done(app, "addReaction", { messageId: both, emoji: "👍" }, carol);
  const all = await send(alice, `@everyone and @${bob.username}`, { replyToId: both });
  await done(app, "editMessage", { messageId: both, content: `@${bob.username} @${alice.username} look` }, carol);
  await send(alice, `to myself @${alice.username}`, { replyToId: root, threadRootId: root });

  assert.deepEqual(
    await newsOf(app, alice),
    [["MENTION", both]],
    "a mention is more than a reply, and oneself is nobody",
  );
  assert.deepEqual(await newsOf(app, bob), [["MENTION", all], ["REPLY", both]]);
  assert.deepEqual(await newsOf(app, carol), [["MENTION", all], ["REACTION", both]]);
  const [{ actor, subject }] = (await notificationsOf(app, bob)).slice(-1);
  assert.equal(actor.id, carol.id);
  assert.deepEqual(subject, { __typename: "Message", id: both, content: `@${bob.username} @${alice.username} look` });
  assert.equal((await logOf(app, bob)).NOTIFICATION_CREATED, 2, "each is an event of the person's own log");

  await done(app, "editMessage", { messageId: all, content: `nobody` }, alice);
  await done(app, "editMessage", { messageId: all, content: `@${bob.username} again, and @everyone` }, alice);
  assert.equal((await newsOf(app, bob)).length, 2, "told once is enough");
  const hello = await send(carol, "hello");
  await done(app, "editMessage", { messageId: hello, content: `hello @${bob.username}` }, carol);
  assert.deepEqual((await newsOf(app, bob))[0], ["MENTION", hello], "an edit tells those whom it adds");
  await done(app, "deleteMessage", { messageId: hello }, carol);
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  const gone = ["MENTION", "MENTION", "REPLY"].map((kind) => [kind, null]);
  assert.deepEqual(await newsOf(app, bob), gone, "what is gone or out of sight shows nothing");
});

Deno.test("nobody is notified who does not want it, is not there, or stands behind a block", async () => {
  await using app = await startApp();
  const people = await Promise.all(["alice", "quiet", "blocker", "blocked", "former"].map((name) => app.signUp(name)));
  const [alice, quiet, blocker, blocked, former] = people as [Person, Person, Person, Person, Person];
  const room = await app.makeRoom(alice, quiet, blocker, blocked, former);
  const own = await Promise.all([quiet, blocker, blocked, former].map((person) => app.send(person, room, "mine")));
  await done(app, "updateRoomNotifications", { roomId: room.id, level: "NONE" }, quiet);
  const [uuid = "", blockerId = "", blockedId = ""] = [alice, blocker, blocked].map(({ id }) =>
    findId("user", id) ?? ""
  );
  await app.app
    .sql`insert into blocks (blocker_id, blocked_id) values (${blockerId}, ${uuid}), (${uuid}, ${blockedId})`;
  await done(app, "leaveRoom", { roomId: room.id }, former);
  for (const { id: messageId } of own) {
    await done(app, "sendMessage", { roomId: room.id, content: "re", replyToId: messageId }, alice);
    await done(app, "sendMessage", { roomId: room.id, content: "re", threadRootId: messageId }, alice);
    await done(app, "addReaction", { messageId, emoji: "👍" }, alice);
  }
  await app.send(alice, room, `@everyone ${people.map(({ username }) => `@${username}`).join(" ")}`);
  for (const person of people) {
    assert.deepEqual(await newsOf(app, person), [], person.username);
    assert.equal((await logOf(app, person)).NOTIFICATION_CREATED, undefined);
  }
});

Deno.test("notifications are read all at once or by name, by nobody else, and other devices hear of it", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  for (let n = 0; n < 6; n++) await app.send(alice, room, `${n} @${bob.username}`);
  const ids = (await notificationsOf(app, bob)).map(({ id }) => id);
  const read = (unreadOnly: boolean) => async (args: object) =>
    (await app.run(
      `query ($unreadOnly: Boolean!, ${PAGE_VARIABLES}) {
        viewer { notifications(unreadOnly: $unreadOnly, ${PAGE_ARGS}) { ${PAGE} } }
      }`,
      { unreadOnly, ...args },
      bob,
    )).viewer.notifications;
  for (const size of [1, 4, 6, 7]) await assertPages(read(false), ids, size);
  const RESULT = "notifications { id readAt } viewer { unreadNotificationCount }";
  const mark = (notificationIds?: string[]) => done(app, "markNotificationsRead", { notificationIds }, bob, RESULT);
  const { notifications, viewer } = await mark([ids[4] ?? "", ids[1] ?? "", ids[4] ?? ""]);
  assert.deepEqual(notifications.map(({ id, readAt }: Any) => [id, readAt !== null]), [[ids[1], true], [ids[4], true]]);
  assert.equal(viewer.unreadNotificationCount, 4);
  await assertPages(read(true), ids.filter((_, index) => ![1, 4].includes(index)), 3);
  assert.deepEqual((await mark([ids[1] ?? ""])).notifications, [], "already read");
  assert.deepEqual((await mark([])).notifications, []);

  const bad = [encodeId("notification", newId()), "garbage", room.id];
  for (const wrong of bad) {
    const input = { notificationIds: [ids[0], wrong] };
    assert.deepEqual(await refusal(app, "markNotificationsRead", input, bob), ["NOT_FOUND", "notificationIds", "1"]);
  }
  const foreign = { notificationIds: [ids[0]] };
  assert.deepEqual(await refusal(app, "markNotificationsRead", foreign, alice), ["NOT_FOUND", "notificationIds", "0"]);
  const many = { notificationIds: Array.from({ length: 101 }, () => ids[0]) };
  assert.deepEqual(await refusal(app, "markNotificationsRead", many, bob), ["TOO_LONG", "notificationIds", 100]);
  assert.equal((await logOf(app, bob)).VIEWER_UPDATED, 1, "only what changed something");
  const rest = await mark();
  assert.deepEqual(rest.notifications.map(({ id }: Any) => id), [ids[0], ids[2], ids[3], ids[5]]);
  assert.equal(rest.viewer.unreadNotificationCount, 0);
  assert.equal((await logOf(app, bob)).VIEWER_UPDATED, 2);

  const node = async (as: Person) =>
    (await app.run("query ($id: ID!) { node(id: $id) { id } }", { id: ids[0] }, as)).node;
  assert.deepEqual([await node(bob), await node(alice)], [{ id: ids[0] }, null]);
});
