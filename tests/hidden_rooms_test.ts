/** Promises of private rooms to those inside, about people who were once led there: what they keep shows nothing of the room. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { done, refusal } from "./support/mutations.ts";
import { Subscription } from "./support/subscriptions.ts";
import { createWorld, invite } from "./support/worlds.ts";

const ROOM =
  "room { id kind title topic slug memberCount onlineMemberCount viewerPermissions eventCursor messages { nodes { id } } }";
const KEPT = `query ($invite: ID!) {
  node(id: $invite) { ... on RoomInvite { status ${ROOM} } }
  viewer {
    notifications { nodes { subject { ... on RoomInvite { ${ROOM} } } } }
    scheduledMessages { nodes { ${ROOM} } }
  }
}`;

Deno.test("an old invite and a message that waits show nothing of a private room that one is no longer let into", async () => {
  await using app = await startApp();
  const { people: { owner, member, stranger }, room } = await createWorld(app);
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  await done(app, "scheduleMessage", { roomId: room.id, content: "later", sendAt }, member);
  await done(app, "kickMember", { roomId: room.id, userId: member.id }, owner);
  const invites = [];
  for (const person of [stranger, member]) {
    const inviteId = await invite(app, room, { by: owner, person });
    await done(app, "declineInvite", { inviteId }, person);
    invites.push({ person, inviteId });
  }
  await done(app, "updateRoom", { roomId: room.id, name: "The secret plan", topic: "Nobody outside may know" }, owner);
  const shell = {
    id: room.id,
    kind: "PRIVATE",
    title: "Private room",
    topic: null,
    slug: null,
    memberCount: 0,
    onlineMemberCount: 0,
    viewerPermissions: [],
    eventCursor: null,
    messages: null,
  };
  for (const { person, inviteId } of invites) {
    const { node, viewer } = await app.run(KEPT, { invite: inviteId }, person);
    assert.deepEqual(node, { status: "DECLINED", room: shell });
    const [newest, ...older] = viewer.notifications.nodes;
    for (const { subject } of [newest, ...older]) assert.deepEqual(subject, { room: shell });
    const waiting = person === member ? [{ room: shell }] : [];
    assert.deepEqual(viewer.scheduledMessages.nodes, waiting);
  }
  const inviteId = await invite(app, room, { by: owner, person: stranger });
  const { node } = await app.run(KEPT, { invite: inviteId }, stranger);
  assert.equal(node.room.title, "The secret plan", "who is invited now sees where to");
});

Deno.test("a ban takes an open invite back, and tells the banned why", async () => {
  await using app = await startApp();
  const { people: { owner, member, stranger }, room } = await createWorld(app);
  const events = `subscription { viewerEvents { events {
    ... on RoomRemovedEvent { removedRoomId reason note }
    ... on InviteUpdatedEvent { invite { id status } }
  } } }`;
  await using ofMember = new Subscription(app, member, { query: events });
  await using ofStranger = new Subscription(app, stranger, { query: events });
  for (const stream of [ofMember, ofStranger]) await stream.next();
  const inviteId = await invite(app, room, { by: owner, person: stranger });
  for (const { id } of [member, stranger]) {
    await done(app, "banMember", { roomId: room.id, userId: id, reason: "Rude to everyone" }, owner);
  }
  const [removed] = (await ofMember.until(({ events }) => events.some((event: Any) => event.reason))).at(-1).events
    .filter((event: Any) => event.reason);
  assert.deepEqual(removed, { removedRoomId: room.id, reason: "BANNED", note: "Rude to everyone" });
  await ofStranger.until(({ events }) => events.some((event: Any) => event.invite?.status === "REVOKED"));
  const seen = await app.run(
    `query ($room: ID!) { room(id: $room) { id } viewer { invites { nodes { id } } } }`,
    { room: room.id },
    stranger,
  );
  assert.deepEqual(seen, { room: null, viewer: { invites: { nodes: [] } } });
  assert.deepEqual(await refusal(app, "acceptInvite", { inviteId }, stranger), ["NOT_FOUND", "inviteId"]);
});
