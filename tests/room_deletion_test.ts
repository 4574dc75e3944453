/** Promises of deleting a room: it is gone for everybody at once, and its rows soon after. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { purgeRooms } from "../src/rooms/deletions.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually } from "./support/eventually.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { holdRows, readLog } from "./support/rooms.ts";

Deno.test("a deleted room ends every stream with the removal of its reader, and nobody can see it by any way", async () => {
  await using app = await startApp();
  const names = ["owner", "moderator", "member", "invited"];
  const [owner, moderator, member, invited] = await Promise.all(names.map((name) => app.signUp(name))) as [
    ...[Person, Person, Person, Person],
  ];
  const room = await app.makeRoom(owner, moderator, member);
  const { id: roomId, slug } = room;
  await done(app, "updateMember", { roomId, userId: moderator.id, role: "MODERATOR" }, owner);
  const { invites: [{ id: inviteId }] } = await done(
    app,
    "inviteToRoom",
    { roomId, userIds: [invited.id] },
    owner,
    "invites { id }",
  );
  const { cursor, id: messageId } = await app.send(member, room, "last words");
  const { viewerMembership } = (await app.run(
    "query ($id: ID!) { room(id: $id) { viewerMembership { id } } }",
    { id: roomId },
    member,
  )).room;
  for (
    const [person, answer] of [[moderator, "FORBIDDEN"], [member, "FORBIDDEN"], [invited, "NOT_A_MEMBER"]] as const
  ) {
    assert.deepEqual(await refusal(app, "deleteRoom", { roomId }, person), [answer, "roomId"]);
  }
  await using stack = new AsyncDisposableStack();
  const streams = [];
  for (const person of [owner, moderator, member]) {
    const socket = stack.use(new RoomFollower(app, person, room, cursor));
    const stream = stack.use(await EventStream.follow(app, person, room, cursor));
    for (const each of [socket, stream]) await each.next();
    streams.push([person, socket] as const, [person, stream] as const);
  }
  const deleted = await done(app, "deleteRoom", { roomId }, owner, "deletedRoomId");
  assert.equal(deleted.deletedRoomId, roomId);
  for (const [person, stream] of streams) {
    const events = await stream.take(Infinity);
    assert.ok(events.some(({ user, reason }) => user.username === person.username && reason === "ROOM_DELETED"));
    for (const { __typename, reason } of events) {
      assert.deepEqual([__typename, reason], ["MemberRemovedEvent", "ROOM_DELETED"]);
    }
  }
  assert.deepEqual((await readLog(app, room)).slice(-3).map(([, id]) => id).toSorted(), [
    ...[owner.id, moderator.id, member.id].toSorted(),
  ]);
  const document = `query ($room: ID!, $slug: String!, $ids: [ID!]!) {
    room(id: $room) { id } roomBySlug(slug: $slug) { id } nodes(ids: $ids) { id } publicRooms { nodes { id } }
    viewer { rooms { nodes { id } } invites { nodes { id } } }
  }`;
  const ids = [roomId, viewerMembership.id, messageId, inviteId];
  for (const person of [owner, moderator, member, invited]) {
    assert.deepEqual(await app.run(document, { room: roomId, slug, ids }, person), {
      room: null,
      roomBySlug: null,
      nodes: [null, null, null, null],
      publicRooms: { nodes: [] },
      viewer: { rooms: { nodes: [] }, invites: { nodes: [] } },
    });
    for (const name of ["joinRoom", "deleteRoom"]) {
      assert.deepEqual(await refusal(app, name, { roomId }, person), ["NOT_FOUND", "roomId"], name);
    }
    const [{ reason } = { reason: null }] = await app.app.sql<{ reason: string }[]>`
      select data ->> 'reason' as reason
      from viewer_events
      where kind = 'ROOM_REMOVED' and user_id = ${findId("user", person.id)}`;
    assert.equal(reason, person === invited ? null : "ROOM_DELETED");
  }
  assert.deepEqual(await refusal(app, "acceptInvite", { inviteId }, invited), ["NOT_FOUND", "inviteId"]);
  await done(app, "createRoom", { name: "Again", slug }, owner, "room { id }");
});

Deno.test("what a deleted room held is cut away, and the room itself after an hour, also after a crash", async () => {
  await using app = await startApp();
  const owner = await app.signUp("owner");
  const [room, kept] = [await app.makeRoom(owner), await app.makeRoom(owner)];
  for (const each of [room, kept]) await app.send(owner, each, "hi");
  const rowsOf = async ({ id }: { readonly id: string }) => {
    const [counts] = await app.app.sql<Any[]>`
      select (select count(*) from rooms where id = ${findId("room", id)}) as rooms,
        (select count(*) from messages where room_id = ${findId("room", id)}) as messages,
        (select count(*) from room_events where room_id = ${findId("room", id)}) as events`;
    return counts;
  };
  const { id: template } = await app.send(owner, room, "one of many");
  const flood = (count: number) =>
    app.app.sql`
      insert into messages (id, room_id, seq, author_id, content, request_hash, reply_to_id)
      select gen_random_uuid(), room_id, -n, author_id, 'flood', '', id
      from messages, generate_series(1, ${count}::int) as n
      where id = ${findId("message", template)}`;
  await flood(2500);
  await done(app, "deleteRoom", { roomId: room.id }, owner);
  await eventually("the messages are cut away", async () => (await rowsOf(room)).messages === 0);
  await app.app.sql`
    insert into messages (id, room_id, seq, author_id, content, request_hash)
    select gen_random_uuid(), id, 1, creator_id, 'left by a crash', '' from rooms where id = ${
    findId("room", room.id)
  }`;
  await purgeRooms(app.app);
  assert.deepEqual(await rowsOf(room), { rooms: 1, messages: 0, events: 4 });
  await app.app.sql`update rooms set deleted_at = deleted_at - interval '61 minutes' where deleted_at is not null`;
  await purgeRooms(app.app);
  assert.deepEqual(await rowsOf(room), { rooms: 0, messages: 0, events: 0 });
  assert.deepEqual(await rowsOf(kept), { rooms: 1, messages: 1, events: 2 });
});

Deno.test("nobody who joins while a room is deleted is left in it", async () => {
  await using app = await startApp();
  const [owner, one, two] = [await app.signUp("owner"), await app.signUp("one"), await app.signUp("two")];
  for (let round = 0; round < 6; round++) {
    const room = await app.makeRoom(owner);
    const held = holdRows(app, "rooms", room);
    const answers = await Promise.all([
      mutate(app, "joinRoom", { roomId: room.id }, one),
      done(app, "deleteRoom", { roomId: room.id }, owner),
      mutate(app, "joinRoom", { roomId: room.id }, two),
    ]);
    await held;
    for (const { errors: [error] } of answers) assert.ok(["NOT_FOUND", undefined].includes(error?.code), error?.code);
    const balance = new Map<string, number>();
    for (const [kind, userId] of await readLog(app, room)) {
      balance.set(userId, (balance.get(userId) ?? 0) + (kind === "MEMBER_JOINED" ? 1 : -1));
    }
    assert.deepEqual([...new Set(balance.values())], [0], "who has joined was removed");
    const { viewer } = await app.run("{ viewer { rooms { nodes { id } } } }", {}, one);
    assert.deepEqual(viewer.rooms.nodes, []);
  }
});
