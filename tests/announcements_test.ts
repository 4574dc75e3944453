/** Promises of announcements: each is seen by those it is for, by nobody else, and only admins send them. */
import { strict as assert } from "node:assert";
import { encodeId, findId, newId } from "../src/lib/ids.ts";
import { announcementHead, ANNOUNCEMENTS_TOPIC, listAnnouncementEvents } from "../src/users/announcement_events.ts";
import { announcementNotifications, markAnnouncementsRead } from "../src/users/announcement_notifications.ts";
import { signUpAdmin } from "./support/admins.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done, refusal } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";
import { codesOf } from "./support/transports.ts";
import { toldTo } from "./support/viewer_logs.ts";

Deno.test("an announcement is seen by those it is for and by nobody else, in lists, by id and in the log", async () => {
  await using app = await startApp();
  const admin = await signUpAdmin(app);
  const [owner, member, named, stranger] = [
    await app.signUp(),
    await app.signUp(),
    await app.signUp(),
    await app.signUp(),
  ];
  const room = await app.makeRoom(owner, member);
  const ids = {
    everyone: await publish(app, admin, { audience: { everyone: true }, title: "Everyone" }),
    room: await publish(app, admin, { audience: { roomId: room.id }, title: "Room" }),
    people: await publish(app, admin, { audience: { userIds: [named.id, owner.id, named.id] }, title: "People" }),
  };
  const audiences: [person: Person | undefined, titles: string[]][] = [
    [owner, ["People", "Room", "Everyone"]],
    [member, ["Room", "Everyone"]],
    [named, ["People", "Everyone"]],
    [stranger, ["Everyone"]],
    [admin, ["Everyone"]],
    [undefined, ["Everyone"]],
  ];
  for (const [person, titles] of audiences) {
    assert.deepEqual(await titlesFor(app, person), titles);
    if (person === undefined) continue;
    assert.deepEqual(await loggedTitles(app, person), titles.toReversed());
    const { nodes } = await app.run(NODES, { ids: Object.values(ids) }, person);
    assert.deepEqual(nodes.flatMap((node: Any) => node?.title ?? []), titles.toReversed());
  }
  const { nodes: [, forRoom, forPeople] } = await app.run(NODES, { ids: Object.values(ids) }, owner);
  assert.deepEqual([forRoom.room, forPeople.room], [{ id: room.id }, null]);
  for (const announcementId of [ids.room, ids.people]) {
    assert.deepEqual(await refusal(app, "dismissAnnouncement", { announcementId }, stranger), NOT_FOUND);
  }
  await done(app, "leaveRoom", { roomId: room.id }, member);
  await done(app, "joinRoom", { roomId: room.id }, stranger);
  assert.deepEqual(await titlesFor(app, member), ["Everyone"], "one who has left");
  assert.deepEqual(await titlesFor(app, stranger), ["Room", "Everyone"], "one who came later");
});

Deno.test("what is taken back or over is gone for all, and the log tells of it in order", async () => {
  await using app = await startApp();
  const [admin, person] = [await signUpAdmin(app), await app.signUp()];
  const hints: unknown[] = [];
  const unsubscribe = await app.app.bus.subscribe(ANNOUNCEMENTS_TOPIC, (hint) => hints.push(hint));
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const [first, second, third] = [
    await publish(app, admin, { title: "First", content: " **Text** ", level: "CRITICAL", expiresAt }),
    await publish(app, admin, { title: "Second" }),
    await publish(app, admin, { title: "Third" }),
  ];
  const { announcements: { nodes: [, , seen] } } = await app.run(LIST, {}, person);
  const { publishedAt, ...rest } = seen;
  assert.deepEqual(rest, {
    id: first,
    title: "First",
    content: "**Text**",
    level: "CRITICAL",
    expiresAt,
    viewerHasDismissed: false,
  });
  assert.ok(Math.abs(Date.parse(publishedAt) - Date.now()) < 60_000);
  for (let i = 0; i < 2; i++) {
    const { deletedAnnouncementId } = await done(
      app,
      "retractAnnouncement",
      { announcementId: second },
      admin,
      DELETED,
    );
    assert.equal(deletedAnnouncementId, second);
  }
  await app.app.sql`update announcements set expires_at = now() where id = ${findId("announcement", first)}`;
  assert.deepEqual(await titlesFor(app, person), ["Third"]);
  assert.deepEqual((await app.run(NODES, { ids: [second] }, person)).nodes, [null]);
  assert.deepEqual(await refusal(app, "dismissAnnouncement", { announcementId: second }, person), NOT_FOUND);

  const userId = findId("user", person.id) ?? "";
  assert.equal(await announcementHead(app.app), 4, "taken back twice is told once");
  assert.deepEqual(hints, [1, 2, 3, 4].map((seq) => ({ seq })));
  const log = async (after: number, upTo: number, limit = 10) =>
    (await listAnnouncementEvents(app.app, userId, { after, upTo, limit })).map((event) => [
      event.seq,
      event.kind,
      encodeId("announcement", event.announcement.id),
    ]);
  const published = [3, "ANNOUNCEMENT_PUBLISHED", third];
  const retracted = [4, "ANNOUNCEMENT_RETRACTED", second];
  assert.deepEqual(await log(0, 4), [published, retracted], "what was taken back or is over is not published again");
  assert.deepEqual(await log(0, 4, 1), [published]);
  assert.deepEqual([await log(3, 4), await log(0, 3), await log(4, 4)], [[retracted], [published], []]);
  unsubscribe();
});

Deno.test("a dismissed announcement stays on the list, marked for the one who dismissed it", async () => {
  await using app = await startApp();
  const [admin, person, other] = [await signUpAdmin(app), await app.signUp(), await app.signUp()];
  const announcementId = await publish(app, admin, {});
  await publish(app, admin, {});
  const marks = async (as?: Person) =>
    (await app.run(LIST, {}, as)).announcements.nodes.map((node: Any) => node.viewerHasDismissed);
  for (let i = 0; i < 2; i++) {
    const { announcement } = await done(
      app,
      "dismissAnnouncement",
      { announcementId },
      person,
      "announcement { id viewerHasDismissed }",
    );
    assert.deepEqual(announcement, { id: announcementId, viewerHasDismissed: true });
  }
  assert.deepEqual([await marks(person), await marks(other), await marks()], [
    [false, true],
    [false, false],
    [false, false],
  ]);
  assert.deepEqual(await toldTo(app, person), ["VIEWER_UPDATED"], "the other devices are told once");
  for (const id of [encodeId("announcement", newId()), "garbage", person.id]) {
    assert.deepEqual(await refusal(app, "dismissAnnouncement", { announcementId: id }, person), NOT_FOUND, id);
  }
});

Deno.test("only admins publish and take back, and what they get wrong is named", async () => {
  await using app = await startApp();
  const [admin, person, gone] = [await signUpAdmin(app), await app.signUp(), await app.signUp()];
  await done(app, "deleteAccount", { password: gone.password }, gone);
  const valid = { audience: { everyone: true }, title: "Title", content: "Content" };
  const announcementId = await publish(app, admin, valid);
  assert.deepEqual(await refusal(app, "publishAnnouncement", { ...valid, title: "" }, person), ["FORBIDDEN"]);
  for (const id of [announcementId, "garbage"]) {
    assert.deepEqual(await refusal(app, "retractAnnouncement", { announcementId: id }, person), ["FORBIDDEN"]);
  }
  for (const id of [encodeId("announcement", newId()), "garbage", ""]) {
    assert.deepEqual(await refusal(app, "retractAnnouncement", { announcementId: id }, admin), NOT_FOUND);
  }
  const [unknownUser, unknownRoom] = [encodeId("user", newId()), encodeId("room", newId())];
  const refused: [input: object, answer: (string | number)[]][] = [
    [{ title: " " }, ["EMPTY", "title"]],
    [{ title: "🦊".repeat(121) }, ["TOO_LONG", "title", 120]],
    [{ content: "" }, ["EMPTY", "content"]],
    [{ content: "c".repeat(4_001) }, ["TOO_LONG", "content", 4_000]],
    [{ content: "NUL \0." }, ["INVALID_INPUT", "content"]],
    [{ expiresAt: new Date(Date.now() - 1).toISOString() }, ["INVALID_INPUT", "expiresAt"]],
    [{ audience: { everyone: false } }, ["INVALID_INPUT", "audience", "everyone"]],
    [{ audience: { userIds: [] } }, ["INVALID_INPUT", "audience", "userIds"]],
    [{ audience: { userIds: Array(1_001).fill(person.id) } }, ["TOO_LONG", "audience", "userIds", 1_000]],
    [{ audience: { userIds: [person.id, unknownUser] } }, ["NOT_FOUND", "audience", "userIds", "1"]],
    [{ audience: { userIds: ["garbage", person.id] } }, ["NOT_FOUND", "audience", "userIds", "0"]],
    [{ audience: { userIds: [person.id, person.id, gone.id] } }, ["NOT_FOUND", "audience", "userIds", "2"]],
    [{ audience: { roomId: unknownRoom } }, ["NOT_FOUND", "audience", "roomId"]],
    [{ audience: { roomId: "garbage" } }, ["NOT_FOUND", "audience", "roomId"]],
    [{ audience: { roomId: "" } }, ["NOT_FOUND", "audience", "roomId"]],
  ];
  for (const [change, answer] of refused) {
    assert.deepEqual(await refusal(app, "publishAnnouncement", { ...valid, ...change }, admin), answer);
  }
  const query =
    "mutation ($input: PublishAnnouncementInput!) { publishAnnouncement(input: $input) { errors { code } } }";
  for (const audience of [{}, { everyone: true, userIds: [person.id] }, { everyone: null }]) {
    const { status } = await app.post({ query, variables: { input: { ...valid, audience } } }, admin);
    assert.equal(status, 400, "exactly one of the fields");
  }
  assert.deepEqual(codesOf((await app.post({ query, variables: { input: valid } })).body), [["UNAUTHENTICATED"]]);
  assert.equal(await announcementHead(app.app), 1, "what was refused has left no trace");
  await publish(app, admin, { ...valid, title: "🦊".repeat(120), content: "🐢".repeat(4_000) });
  await publish(app, admin, { ...valid, audience: { userIds: Array(1_000).fill(person.id) } });
});

Deno.test("announcements come in pages, exact in both directions, and a new one is on top at its edge", async () => {
  await using app = await startApp();
  const [admin, person] = [await signUpAdmin(app), await app.signUp()];
  const published: string[] = [];
  for (let i = 0; i < 5; i++) published.unshift(await publish(app, admin, {}));
  await app.app.sql`update announcements set published_at = now()`; // one instant: the order is that of the ids
  const expected = published.toSorted().toReversed();
  const read = async (variables: PageVariables) => {
    const document = `query (${PAGE_VARIABLES}) { announcements(${PAGE_ARGS}) { ${PAGE} } }`;
    return (await app.run(document, variables, person)).announcements;
  };
  for (const size of [1, 2, 5]) await assertPages(read, expected, size);
  const { announcementEdge } = await done(
    app,
    "publishAnnouncement",
    { audience: { everyone: true }, title: "New", content: "New" },
    admin,
    "announcementEdge { cursor node { id } }",
  );
  const { edges } = await read({ first: 1 });
  assert.deepEqual(edges, [announcementEdge]);
});

Deno.test("announcements since the account was made are its notifications until they are taken back", async () => {
  await using app = await startApp();
  const admin = await signUpAdmin(app);
  await publish(app, admin, { title: "Before" });
  await app.app.sql`update announcements set published_at = now() - interval '1 minute'`;
  const [person, other] = [await app.signUp(), await app.signUp()];
  const userId = findId("user", person.id) ?? "";
  const ids = [
    await publish(app, admin, { title: "One" }),
    await publish(app, admin, { title: "Two", audience: { userIds: [person.id] } }),
    await publish(app, admin, { title: "Back" }),
    await publish(app, admin, { title: "Other", audience: { userIds: [other.id] } }),
  ];
  await done(app, "retractAnnouncement", { announcementId: ids[2] }, admin);
  const { sql } = app.app;
  const list = async () => {
    const rows = await sql<Any[]>`
      select notification.* from (${
      announcementNotifications(app.app, userId)
    }) as notification order by created_at, id`;
    return rows.map((
      { id, kind, announcementId, readAt },
    ) => [encodeId("announcement", id), kind, announcementId === id, readAt !== null]);
  };
  assert.deepEqual(await list(), [[ids[0], "ANNOUNCEMENT", true, false], [ids[1], "ANNOUNCEMENT", true, false]]);
  const markRead = async (uuids: (string | null)[]) => {
    const isMeant = sql`notification.id = any(${uuids as string[]}::uuid[])`;
    const marked = await sql<Any[]>`with ${
      markAnnouncementsRead(app.app, userId, isMeant)
    } select * from read_announcement`;
    return marked.map(({ announcementId }) => encodeId("announcement", announcementId));
  };
  await done(app, "dismissAnnouncement", { announcementId: ids[0] }, person);
  const all = ids.map((id) => findId("announcement", id));
  assert.deepEqual(await markRead(all.slice(0, 1)), [ids[0]]);
  assert.deepEqual(await markRead(all), [ids[1]], "what is read already, or not theirs, is not marked");
  assert.deepEqual((await list()).map(([, , , isRead]) => isRead), [true, true]);
});

const LIST = "{ announcements { nodes { id title content level publishedAt expiresAt viewerHasDismissed } } }";
const NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Announcement { title room { id } } } }";
const DELETED = "deletedAnnouncementId";
const NOT_FOUND = ["NOT_FOUND", "announcementId"];

/** Publishes one, for everyone unless told otherwise, and returns its id. */
async function publish(app: TestApp, as: Person, input: object): Promise<string> {
  const full = { audience: { everyone: true }, title: "Title", content: "Content", ...input };
  return (await done(app, "publishAnnouncement", full, as, "announcement { id }")).announcement.id;
}

async function titlesFor(app: TestApp, as?: Person): Promise<string[]> {
  return (await app.run(LIST, {}, as)).announcements.nodes.map(({ title }: Any) => title);
}

async function loggedTitles({ app }: TestApp, { id }: Person): Promise<string[]> {
  const upTo = await announcementHead(app);
  const events = await listAnnouncementEvents(app, findId("user", id) ?? "", { after: 0, upTo, limit: 100 });
  return events.map(({ announcement }) => announcement.title);
}
