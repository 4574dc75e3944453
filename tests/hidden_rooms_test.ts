/** Promises of private rooms to those inside, about people who were once led there: what they keep shows nothing of the room. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { done, refusal } from "./support/mutations.ts";
import { Subscription } from "./support/subscriptions.ts";
import { reachable, uploadText } from "./support/uploads.ts";
import { createWorld, invite, say } from "./support/worlds.ts";

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

Deno.test("who was removed finds no file of the room any more, on no way, not even an own one", async () => {
  await using app = await startApp();
  const { people: { owner, member }, room } = await createWorld(app);
  const sent = [await uploadText(app, owner, room), await uploadText(app, member, room)];
  for (const [index, as] of [owner, member].entries()) {
    await say(app, as, { roomId: room.id, content: "look", attachmentIds: [sent[index]] });
  }
  const ids = [...sent, await uploadText(app, member, room, "not sent")];
  const variables = { room: room.id, ids, id: sent[1] };
  const before = await app.run(FILES, variables, member);
  assert.deepEqual(before.nodes.map(({ id }: Any) => id), ids);
  assert.deepEqual(before.room.attachments.nodes.length, 2);
  assert.deepEqual(before.searchMessages.nodes.length, 2);
  const urls = before.nodes.map(({ url }: Any) => reachable(app, url));
  const statuses = () => Promise.all(urls.map((url: string) => statusOf(url)));
  assert.deepEqual(await statuses(), [200, 200, 200]);
  await done(app, "kickMember", { roomId: room.id, userId: member.id }, owner);
  assert.deepEqual(await app.run(FILES, variables, member), {
    node: null,
    nodes: [null, null, null],
    room: null,
    searchMessages: { nodes: [] },
  });
  assert.deepEqual(await statuses(), [404, 404, 404]);
  for (const attachmentId of sent) {
    assert.deepEqual(await refusal(app, "deleteAttachment", { attachmentId }, member), ["NOT_FOUND", "attachmentId"]);
  }
  await done(app, "deleteAttachment", { attachmentId: ids[2] }, member); // what nobody has seen may be taken back
});

const FILES = `query ($room: ID!, $ids: [ID!]!, $id: ID!) {
  node(id: $id) { id }
  nodes(ids: $ids) { id ... on Attachment { url } }
  room(id: $room) { attachments { nodes { id } } }
  searchMessages(query: "look", filter: { mediaKinds: [OTHER] }) { nodes { id attachments { id } } }
}`;

async function statusOf(url: string): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}
