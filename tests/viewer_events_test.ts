/** Promises of the stream that tells one person of everything that concerns them, in any room and outside of rooms. */
import { strict as assert } from "node:assert";
import { makeAdmin, signUpAdmin } from "./support/admins.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done } from "./support/mutations.ts";
import { operation } from "./support/operations.ts";
import { RawSocket } from "./support/sockets.ts";
import { Subscription } from "./support/subscriptions.ts";
import { codesOf } from "./support/transports.ts";
import { invite } from "./support/worlds.ts";

const VIEWER_EVENTS = `subscription ($after: String) {
  viewerEvents(after: $after) {
    cursor
    events {
      __typename
      cursor
      ... on RoomAddedEvent { room { id } roomEdge { cursor node { id title } } }
      ... on RoomRemovedEvent { removedRoomId reason }
      ... on RoomActivityEvent { room { id title viewerUnreadCount lastMessage { content } } viewer { unreadCount } }
      ... on NotificationCreatedEvent { notification { kind } viewer { unreadNotificationCount } }
      ... on ViewerUpdatedEvent { viewer { id } }
    }
  }
}`;

Deno.test("a person hears of rooms that come and go, and of the news in them, on every device", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  await using phone = await follow(app, bob);
  await using laptop = await follow(app, bob);
  for (const device of [phone, laptop]) assert.deepEqual((await device.next()).events, []);

  const room = await app.makeRoom(alice, bob);
  await app.send(alice, room, "Hello");
  for (const device of [phone, laptop]) {
    const [added] = await eventsUntil(device, "RoomAddedEvent");
    assert.equal(added.room.id, room.id);
    assert.equal(added.roomEdge.node.id, room.id);
    const news = (await newsUntil(device, ({ viewerUnreadCount }) => viewerUnreadCount === 1)).at(-1);
    assert.deepEqual([news.room.lastMessage.content, news.viewer.unreadCount], ["Hello", 1]);
  }

  await done(app, "kickMember", { roomId: room.id, userId: bob.id }, alice);
  await app.send(alice, room, "Behind his back");
  const other = await app.makeRoom(alice, bob);
  for (const device of [phone, laptop]) {
    const events = await eventsUntil(device, "RoomAddedEvent");
    const removed = events.filter(({ __typename }) => __typename === "RoomRemovedEvent");
    assert.deepEqual(removed.map(({ removedRoomId, reason }) => [removedRoomId, reason]), [[room.id, "KICKED"]]);
    const told = events.slice(events.indexOf(removed[0])).filter(({ room: about }) => about?.id === room.id);
    assert.deepEqual(told, [], "nothing of a room after the removal from it");
    assert.equal(events.at(-1).room.id, other.id);
  }
});

Deno.test("one who was away hears what was missed: each event once, in order, and one news for each room", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const busy = await app.makeRoom(alice, bob);
  const { viewer: { eventCursor } } = await app.run("{ viewer { eventCursor } }", {}, bob);
  const rooms = [await app.makeRoom(alice, bob), await app.makeRoom(alice, bob), await app.makeRoom(alice, bob)];
  for (let count = 1; count <= 5; count++) await app.send(alice, busy, `message ${count}`);
  await done(app, "leaveRoom", { roomId: rooms[1]?.id }, bob);

  await using stream = await follow(app, bob, eventCursor);
  const batches = await stream.until((batch) => hasNewsOf(batch, busy.id));
  const events = batches.flatMap((batch) => batch.events);
  const log = events.filter(({ __typename }) => __typename !== "RoomActivityEvent");
  // The room that was left meanwhile is not told of as one that came.
  assert.deepEqual(log.map(({ room, removedRoomId }) => room?.id ?? removedRoomId), [
    rooms[0]?.id,
    rooms[2]?.id,
    rooms[1]?.id,
  ]);
  const news = events.filter(({ __typename }) => __typename === "RoomActivityEvent");
  assert.equal(news.filter(({ room }) => room.id === busy.id).length, 1);
  assert.equal(news.find(({ room }) => room.id === busy.id).room.viewerUnreadCount, 5);

  for (const { cursor } of log.slice(0, -1)) {
    await using again = await follow(app, bob, cursor);
    const rest = (await again.until((batch) => hasNewsOf(batch, busy.id))).flatMap((batch) => batch.events)
      .filter(({ __typename }) => __typename !== "RoomActivityEvent");
    assert.deepEqual(
      rest.map((event) => event.cursor),
      log.slice(log.findIndex((each) => each.cursor === cursor) + 1)
        .map((event) => event.cursor),
    );
  }
});

Deno.test("invites, notifications, announcements, scheduled messages and changes of the account arrive as they happen", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  await makeAdmin(app, carol);
  const shared = await app.makeRoom(alice, bob);
  const { room } = await done(app, "createRoom", { kind: "PRIVATE", name: "Club" }, alice, "room { id }");
  const { viewer: { eventCursor: after } } = await app.run("{ viewer { eventCursor } }", {}, bob);
  await using stream = new Subscription(app, bob, { query: operation("ViewerEvents"), variables: { after } });
  assert.deepEqual((await stream.next()).events, []);
  const arrivals: Any[] = [];
  const nextOf = async (typename: string): Promise<Any> => {
    while (!arrivals.some(({ __typename }) => __typename === typename)) arrivals.push(...(await stream.next()).events);
    return arrivals.splice(arrivals.findIndex(({ __typename }) => __typename === typename), 1)[0];
  };

  const inviteId = await invite(app, room, { by: alice, person: bob });
  const { inviteEdge } = await nextOf("InviteUpdatedEvent");
  assert.deepEqual([inviteEdge.node.id, inviteEdge.node.status, inviteEdge.node.room.title], [
    inviteId,
    "PENDING",
    "Club",
  ]);
  const invited = await nextOf("NotificationCreatedEvent");
  assert.deepEqual([invited.notification.kind, invited.viewer.unreadNotificationCount], ["INVITE", 1]);
  await done(app, "revokeInvite", { inviteId }, alice);
  assert.equal((await nextOf("InviteUpdatedEvent")).inviteEdge.node.status, "REVOKED");

  await app.send(alice, shared, `Hello @${bob.username}`);
  const mentioned = await nextOf("NotificationCreatedEvent");
  assert.deepEqual([mentioned.notification.kind, mentioned.viewer.unreadNotificationCount], ["MENTION", 2]);

  const news = { audience: { userIds: [bob.id] }, title: "News", content: "All is well" };
  const { announcement } = await done(app, "publishAnnouncement", news, carol, "announcement { id }");
  const { announcementEdge } = await nextOf("AnnouncementPublishedEvent");
  assert.deepEqual([announcementEdge.node.id, announcementEdge.node.title], [announcement.id, "News"]);
  const announced = await nextOf("NotificationCreatedEvent");
  assert.deepEqual([announced.notification.kind, announced.viewer.unreadNotificationCount], ["ANNOUNCEMENT", 3]);
  await done(app, "publishAnnouncement", { ...news, audience: { userIds: [alice.id] } }, carol);
  await done(app, "retractAnnouncement", { announcementId: announcement.id }, carol);
  assert.equal((await nextOf("AnnouncementRetractedEvent")).deletedAnnouncementId, announcement.id);

  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  const later = { roomId: shared.id, content: "later", sendAt };
  const { scheduledMessage } = await done(app, "scheduleMessage", later, bob, "scheduledMessage { id }");
  const { scheduledMessage: told } = await nextOf("ScheduledMessageUpdatedEvent");
  assert.deepEqual(told, { ...told, id: scheduledMessage.id, status: "PENDING", sendAt });

  await done(app, "markNotificationsRead", {}, bob); // on another device
  await nextOf("ViewerUpdatedEvent");
  assert.equal((await app.run("{ viewer { unreadNotificationCount } }", {}, bob)).viewer.unreadNotificationCount, 0);
  assert.ok(
    !arrivals.some(({ __typename }) => __typename.startsWith("Announcement")),
    "what is for others is not told",
  );

  await using again = new Subscription(app, bob, { query: operation("ViewerEvents"), variables: { after } });
  const replayed = (await again.until(({ events }) => events.at(-1)?.__typename === "RoomActivityEvent"))
    .flatMap(({ events }) => events.map(({ __typename }: Any) => __typename));
  // The first announcement was taken back: only that is told.
  assert.deepEqual(replayed, [
    "InviteUpdatedEvent",
    "NotificationCreatedEvent",
    "InviteUpdatedEvent",
    "NotificationCreatedEvent",
    "ScheduledMessageUpdatedEvent",
    "ViewerUpdatedEvent",
    "AnnouncementRetractedEvent",
    "RoomActivityEvent",
  ]);
});

Deno.test("one who goes on after an announcement gets its notification", async () => {
  await using app = await startApp();
  const [admin, bob] = [await signUpAdmin(app), await app.signUp("bob")];
  await using stream = await follow(app, bob);
  await stream.next();
  const input = { audience: { everyone: true }, title: "Soon", content: "Soon.", level: "INFO" };
  await done(app, "publishAnnouncement", input, admin);
  const [told] = await eventsUntil(stream, "AnnouncementPublishedEvent");
  await using again = await follow(app, bob, told.cursor);
  await eventsUntil(again, "NotificationCreatedEvent");
});

Deno.test("a busy room is news once a second at most, and the last news says how it is", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await using stream = await follow(app, bob);
  await stream.next();
  const count = 60;
  await Promise.all(Array.from({ length: count }, (_, index) => app.send(alice, room, `message ${index}`)));
  const news = await newsUntil(stream, ({ viewerUnreadCount }) => viewerUnreadCount === count);
  assert.ok(news.length <= count / 2, `${news.length} news of ${count} messages`);
  assert.equal(news.at(-1).viewer.unreadCount, count);
});

Deno.test("what no hint told of is found all the same", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  await using stream = await follow(app, bob);
  await stream.next();
  const publish = app.app.bus.publish;
  app.app.bus.publish = () => {}; // every hint is lost
  const other = await app.makeRoom(alice, bob);
  await app.send(alice, room, "Do you hear me?");
  app.app.bus.publish = publish;
  const seen = new Set<string>();
  while (!seen.has(room.id) || !seen.has(other.id)) {
    for (const event of (await stream.next()).events) seen.add(event.room.id);
  }
});

Deno.test("a cursor that can't be honoured gets a resync, and garbage an error", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const cursorOf = async (person: Person) =>
    (await app.run("{ viewer { eventCursor } }", {}, person)).viewer.eventCursor;
  const [own, foreign] = [await cursorOf(alice), await cursorOf(bob)];
  const [epoch, seq, announcement, xid] = own.split(".");
  const cursors = [
    foreign,
    [epoch, Number(seq) + 1, announcement, xid].join("."),
    [epoch, seq, Number(announcement) + 1, xid].join("."),
    [epoch, seq, announcement, BigInt(xid) + 1_000_000n].join("."),
  ];
  for (const after of cursors) {
    await using stream = await follow(app, alice, after);
    const { cursor, events } = await stream.next();
    assert.deepEqual(events.map(({ __typename }: Any) => __typename), ["ViewerResyncEvent"], after);
    await using again = await follow(app, alice, cursor);
    assert.deepEqual((await again.next()).events, []);
  }
  for (
    const after of ["", "nonsense", `${own}0x`, `${epoch}.${seq}`, [epoch, seq, announcement, "9".repeat(19)].join(".")]
  ) {
    assert.deepEqual(await refusedWith(app, alice, after), [["BAD_USER_INPUT"]], after);
  }
  assert.deepEqual(await refusedWith(app, null, null), [["UNAUTHENTICATED"]]);
});

function follow(app: TestApp, as: Person, after: string | null = null): Promise<Subscription> {
  return Promise.resolve(new Subscription(app, as, { query: VIEWER_EVENTS, variables: { after } }));
}

async function refusedWith(app: TestApp, as: Person | null, after: string | null) {
  await using socket = as ? await RawSocket.signIn(app, as) : await RawSocket.connect(app);
  return codesOf(await socket.ask(VIEWER_EVENTS, { after }));
}

async function eventsUntil(stream: Subscription, typename: string): Promise<Any[]> {
  const batches = await stream.until(({ events }) => events.some(({ __typename }: Any) => __typename === typename));
  return batches.flatMap(({ events }) => events);
}

/** News of rooms until one of a room for which `isLast` holds. */
async function newsUntil(stream: Subscription, isLast: (room: Any) => boolean): Promise<Any[]> {
  const batches = await stream.until(({ events }) => events.some(({ room }: Any) => room && isLast(room)));
  return batches.flatMap(({ events }) => events).filter(({ __typename }) => __typename === "RoomActivityEvent");
}

function hasNewsOf({ events }: Any, roomId: string): boolean {
  return events.some(({ __typename, room }: Any) => __typename === "RoomActivityEvent" && room.id === roomId);
}
