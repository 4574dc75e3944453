/** Promises of read positions and unread counts. */
import { strict as assert } from "node:assert";
import { encodeId, findId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { readLog } from "./support/rooms.ts";
import { logIn } from "./support/sessions.ts";

const READ = "room { id viewerUnreadCount viewerMentionCount } viewer { unreadCount mentionCount } " +
  "member { lastReadAt lastReadMessage { content } }";

const markRead = (app: TestApp, as: Person, room: TestRoom, messageId?: string | null) =>
  done(app, "markRoomRead", { roomId: room.id, ...(messageId === undefined ? {} : { messageId }) }, as, READ);

/** `[unread, mentions]` of each room, and of all together at the end. */
async function countsOf(app: TestApp, as: Person, ...rooms: TestRoom[]): Promise<[number, number][]> {
  const { nodes, viewer } = await app.run(
    `query ($ids: [ID!]!) {
      nodes(ids: $ids) { ... on Room { viewerUnreadCount viewerMentionCount } }
      viewer { unreadCount mentionCount }
    }`,
    { ids: rooms.map(({ id }) => id) },
    as,
  );
  return [
    ...nodes.map((room: Any) => [room.viewerUnreadCount, room.viewerMentionCount]),
    [viewer.unreadCount, viewer.mentionCount],
  ];
}

async function positionOf({ app }: TestApp, { id }: Person, room: TestRoom): Promise<number> {
  const [member] = await app.sql<Any[]>`
    select last_read_seq
    from members
    where user_id = ${findId("user", id)}
      and room_id = ${findId("room", room.id)}`;
  return member.lastReadSeq;
}

const seqOf = (message: { readonly cursor: string }) => Number(message.cursor.split(".")[1]);

/** Times of the member's read events in the log of the room, in milliseconds. */
async function readTimes({ app }: TestApp, { id }: Person, room: TestRoom): Promise<number[]> {
  const events = await app.sql<Any[]>`
    select created_at
    from room_events
    where room_id = ${findId("room", room.id)}
      and kind = 'MEMBER_READ'
      and subject_id = ${findId("user", id)}
    order by seq`;
  return events.map(({ createdAt }) => createdAt.getTime());
}

Deno.test("unread messages and mentions are those behind the position, whatever was sent, deleted and read", async () => {
  await using app = await startApp();
  const { sql } = app.app;
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const early = await app.makeRoom(bob);
  await app.send(bob, early, "before alice came");
  await done(app, "joinRoom", { roomId: early.id }, alice);
  const [room, quiet] = [await app.makeRoom(bob, alice), await app.makeRoom(bob, alice)];
  assert.deepEqual(await countsOf(app, alice, early, room), [[0, 0], [0, 0], [0, 0]], "what was before is not unread");

  const sent = [];
  for (const content of ["one", "two", "three", "four", "five"]) sent.push(await app.send(bob, room, content));
  const [one, two, three, four, five] = sent.map(({ id }) => findId("message", id));
  const own = await app.send(alice, room, "my own");
  await app.send(bob, quiet, "psst");
  // What other features write: a reply in a thread, mentions by name and of everyone.
  await sql`update messages set thread_root_id = ${one ?? ""} where id = ${three ?? ""}`;
  await sql`update messages set mentions_everyone = true where id = any(${[
    four ?? "",
    findId("message", own.id) ?? "",
  ]}::uuid[])`;
  await sql`
    insert into mentions (user_id, room_id, message_id, seq)
    select ${findId("user", alice.id)}, room_id, id, seq from messages where id = any(${[
    two,
    three,
    four,
  ] as string[]}::uuid[])`;
  await sql`
    update members set notification_level = 'NONE'
    where room_id = ${findId("room", quiet.id)} and user_id = ${findId("user", alice.id)}`;
  // In the main timeline one, two, four, five; mentioned in two, three, four (there twice); the muted room only there.
  assert.deepEqual(await countsOf(app, alice, room, quiet, early), [[4, 3], [1, 0], [0, 0], [4, 3]]);
  assert.deepEqual(await countsOf(app, bob, room), [[1, 1], [1, 1]]);
  assert.deepEqual(await countsOf(app, carol, room), [[0, 0], [0, 0]]);
  const nobody = await app.run("query ($id: ID!) { room(id: $id) { viewerUnreadCount viewerMentionCount } }", room);
  assert.deepEqual(nobody.room, { viewerUnreadCount: 0, viewerMentionCount: 0 });

  await done(app, "deleteMessage", { messageId: encodeId("message", four ?? "") }, bob);
  assert.deepEqual(await countsOf(app, alice, room), [[3, 2], [3, 2]]);
  const read = await markRead(app, alice, room, encodeId("message", two ?? ""));
  assert.deepEqual(read.room, { id: room.id, viewerUnreadCount: 1, viewerMentionCount: 1 });
  assert.deepEqual(read.viewer, { unreadCount: 1, mentionCount: 1 });
  assert.equal(read.member.lastReadMessage.content, "two");
  // The newest message, here the own one: the position is a place in the log, not a list of what was seen.
  const phone = await logIn(app, alice);
  const [seen] = await Promise.all([markRead(app, phone, room), markRead(app, alice, room, null)]);
  assert.equal(seen.member.lastReadMessage.content, "my own");
  assert.deepEqual(await countsOf(app, alice, room), [[0, 0], [0, 0]]);
  assert.deepEqual(await countsOf(app, phone, room), [[0, 0], [0, 0]], "two devices agree");
  const told = await sql<Any[]>`
    select subject_id from viewer_events where user_id = ${findId("user", alice.id)} and kind = 'VIEWER_UPDATED'`;
  assert.deepEqual(
    told.map(({ subjectId }) => encodeId("user", subjectId)),
    [alice.id, alice.id],
    "the devices are told",
  );
  await app.send(bob, room, `after ${five}`);
  assert.deepEqual(await countsOf(app, alice, room), [[1, 0], [1, 0]]);
});

Deno.test("a count is exact to 999, and 1,000 for all that is more", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(bob, alice);
  const add = (from: number, to: number) =>
    app.app.sql`
    with message as (
      insert into messages (id, room_id, seq, author_id, content, request_hash, mentions_everyone)
      select gen_random_uuid(), ${findId("room", room.id)}, seq, ${findId("user", bob.id)}, 'hi', '', true
      from generate_series(${from}::bigint, ${to}::bigint) as seq
      returning id, room_id, seq
    )
    insert into mentions (user_id, room_id, message_id, seq)
    select ${findId("user", alice.id)}, room_id, id, seq from message`;
  await add(101, 1099);
  assert.deepEqual(await countsOf(app, alice, room), [[999, 999], [999, 999]]);
  await add(1100, 1100);
  assert.deepEqual(await countsOf(app, alice, room), [[1000, 1000], [1000, 1000]]);
  await add(1101, 3000);
  assert.deepEqual(await countsOf(app, alice, room), [[1000, 1000], [1000, 1000]]);
});

Deno.test("the position only moves forward, at most once a second, and the last mark counts", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const [room, empty] = [await app.makeRoom(bob, alice), await app.makeRoom(bob, alice)];
  assert.equal((await markRead(app, alice, empty)).member.lastReadMessage, null);
  assert.deepEqual(await readTimes(app, alice, empty), [], "nothing to read is no event");
  const sent = [];
  for (let index = 0; index < 20; index++) sent.push(await app.send(bob, room, `${index}`));
  const last = sent.at(-1) ?? { id: "", cursor: "" };
  const shuffled = sent.map((message, index) => ({ message, key: (index * 7) % 20 })).toSorted((a, b) => a.key - b.key);
  const marks = await Promise.all(shuffled.map(async ({ message }) => {
    const answer = await markRead(app, alice, room, message.id);
    assert.ok(await positionOf(app, alice, room) >= seqOf(message), "it answers once it is stored");
    return answer;
  }));
  assert.equal(marks.length, 20);
  assert.equal(await positionOf(app, alice, room), seqOf(last));
  const before = await readTimes(app, alice, room);
  for (const { id } of sent) await markRead(app, alice, room, id);
  assert.equal(await positionOf(app, alice, room), seqOf(last), "never back");
  assert.deepEqual(await readTimes(app, alice, room), before, "nothing new is no event");
  await app.send(bob, room, "more");
  const newest = await app.send(bob, room, "most");
  await Promise.all([markRead(app, alice, room), markRead(app, alice, room, last.id), markRead(app, alice, room)]);
  assert.equal(await positionOf(app, alice, room), seqOf(newest));
  const times = await readTimes(app, alice, room);
  assert.ok(times.length >= 2 && times.length <= 4, `${times.length} events for 43 marks`);
  for (const [index, at] of times.entries()) {
    if (index > 0) assert.ok(at - (times[index - 1] ?? 0) >= 1_000, `${times}`);
  }
  await readLog(app, room); // without a gap

  const [mine] = [await app.makeRoom(bob)];
  const foreign = await app.send(bob, empty, "elsewhere");
  for (const messageId of ["garbage", "", room.id, encodeId("message", newId()), foreign.id]) {
    const input = { roomId: room.id, messageId };
    assert.deepEqual(await refusal(app, "markRoomRead", input, alice), ["NOT_FOUND", "messageId"], messageId);
  }
  assert.deepEqual(await refusal(app, "markRoomRead", { roomId: mine.id }, alice), ["NOT_A_MEMBER", "roomId"]);
  assert.deepEqual(await refusal(app, "markRoomRead", { roomId: encodeId("room", newId()) }, alice), [
    "NOT_FOUND",
    "roomId",
  ]);
  const { body } = await app.post({
    query: "mutation ($id: ID!) { markRoomRead(input: { roomId: $id }) { errors { code } } }",
    variables: room,
  });
  assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED");
});

Deno.test("a mark that waits when its member is removed is refused, and one that waits when the server closes ends", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(bob, alice);
  await app.send(bob, room, "one");
  await markRead(app, alice, room);
  await app.send(bob, room, "two");
  const [late] = await Promise.all([
    mutate(app, "markRoomRead", { roomId: room.id }, alice),
    done(app, "kickMember", { roomId: room.id, userId: alice.id }, bob),
  ]);
  for (const { code } of late.errors) assert.equal(code, "NOT_A_MEMBER");
  await done(app, "joinRoom", { roomId: room.id }, alice);
  await app.send(bob, room, "three");
  await markRead(app, alice, room);
  await app.send(bob, room, "four");
  // Not awaited: closing the app, at the end of this test, must neither hang nor leave its timer behind.
  const unheard = mutate(app, "markRoomRead", { roomId: room.id }, alice).catch(() => null);
  await app[Symbol.asyncDispose]();
  await unheard;
});
