/** The promise of private rooms: to a stranger they do not exist. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { RawSocket } from "./support/sockets.ts";
import { ROOM_EVENTS } from "./support/follow.ts";
import { done } from "./support/mutations.ts";

/** Everything that may be asked about a room and what is in it. */
const OPERATIONS: Readonly<Record<string, string>> = {
  room: `query ($room: ID!) { room(id: $room) { id name memberCount } }`,
  roomBySlug: `query ($slug: String!) { roomBySlug(slug: $slug) { id name } }`,
  nodes: `query ($room: ID!, $member: ID!, $message: ID!, $invite: ID!, $ban: ID!) {
    nodes(ids: [$room, $member, $message, $invite, $ban]) { id __typename }
    room: node(id: $room) { id } member: node(id: $member) { id } message: node(id: $message) { id }
    invite: node(id: $invite) { id } ban: node(id: $ban) { id }
  }`,
  joinRoom: `mutation ($room: ID!) {
    joinRoom(input: { roomId: $room }) { room { name } roomEdge { cursor } member { id } errors { __typename code message path } }
  }`,
  leaveRoom: `mutation ($room: ID!) {
    leaveRoom(input: { roomId: $room }) { leftRoomId room { name } errors { __typename code message path } }
  }`,
  kickMember: `mutation ($room: ID!, $owner: ID!) {
    kickMember(input: { roomId: $room, userId: $owner }) { removedMemberId room { name } errors { __typename code message path } }
  }`,
  sendMessage: `mutation ($room: ID!) {
    sendMessage(input: { roomId: $room, content: "hi" }) { message { id } room { name } errors { __typename code message path } }
  }`,
  sendNothing: `mutation ($room: ID!) {
    sendMessage(input: { roomId: $room, content: " " }) { errors { __typename code message path } }
  }`,
  editMessage: `mutation ($message: ID!) {
    editMessage(input: { messageId: $message, content: "hi" }) { message { id } errors { __typename code message path } }
  }`,
  deleteMessage: `mutation ($message: ID!) {
    deleteMessage(input: { messageId: $message }) { message { id } errors { __typename code message path } }
  }`,
  addReaction: `mutation ($message: ID!) {
    addReaction(input: { messageId: $message, emoji: "👍" }) { message { id } errors { __typename code message path } }
  }`,
  removeReaction: `mutation ($message: ID!) {
    removeReaction(input: { messageId: $message, emoji: "no" }) { message { id } errors { __typename code message path } }
  }`,
  pinMessage: `mutation ($message: ID!) {
    pinMessage(input: { messageId: $message }) { messageEdge { cursor } errors { __typename code message path } }
  }`,
  unpinMessage: `mutation ($message: ID!) {
    unpinMessage(input: { messageId: $message }) { message { id } errors { __typename code message path } }
  }`,
  updateMember: `mutation ($room: ID!, $owner: ID!) {
    updateMember(input: { roomId: $room, userId: $owner, role: MEMBER }) { member { id } errors { __typename code message path } }
  }`,
  banMember: `mutation ($room: ID!, $owner: ID!) {
    banMember(input: { roomId: $room, userId: $owner, deleteMessagesHours: 1000 }) { ban { id } room { name } errors { __typename code message path } }
  }`,
  unbanMember: `mutation ($room: ID!, $owner: ID!) {
    unbanMember(input: { roomId: $room, userId: $owner }) { removedBanId room { name } errors { __typename code message path } }
  }`,
  inviteToRoom: `mutation ($room: ID!, $owner: ID!) {
    inviteToRoom(input: { roomId: $room, userIds: [$owner] }) { invites { id } errors { __typename code message path } }
  }`,
  acceptInvite: `mutation ($invite: ID!) {
    acceptInvite(input: { inviteId: $invite }) { member { id } invite { id } errors { __typename code message path } }
  }`,
  declineInvite: `mutation ($invite: ID!) {
    declineInvite(input: { inviteId: $invite }) { invite { id } errors { __typename code message path } }
  }`,
  revokeInvite: `mutation ($invite: ID!) {
    revokeInvite(input: { inviteId: $invite }) { invite { id } errors { __typename code message path } }
  }`,
  updateRoom: `mutation ($room: ID!) {
    updateRoom(input: { roomId: $room, name: " " }) { room { name } errors { __typename code message path } }
  }`,
  updateRoomNotifications: `mutation ($room: ID!) {
    updateRoomNotifications(input: { roomId: $room, level: NONE }) { room { name } errors { __typename code message path } }
  }`,
  deleteRoom: `mutation ($room: ID!) {
    deleteRoom(input: { roomId: $room }) { deletedRoomId errors { __typename code message path } }
  }`,
};

Deno.test("whatever a stranger asks of a private room is answered as if there were no such room", async () => {
  await using app = await startApp();
  const [alice, bob, eve] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  const hidden = await makePrivateRoom(app, alice);
  const missing = {
    room: encodeId("room", newId()),
    slug: "no-such-room",
    member: encodeId("member", newId()),
    message: encodeId("message", newId()),
    invite: encodeId("invite", newId()),
    ban: encodeId("ban", newId()),
    owner: alice.id,
    cursor: `${crypto.randomUUID()}.1`,
  };
  // Eve was in once, so she knows every id.
  await app.app.sql`insert into members (id, room_id, user_id, role, joined_seq)
    select ${newId()}, rooms.id, users.id, 'MEMBER', last_seq from rooms, users where users.username = ${eve.username}`;
  await app.app.sql`update rooms set member_count = member_count + 1`;
  await done(app, "leaveRoom", { roomId: hidden.room }, eve);
  const before = await app.app.sql<Any[]>`select last_seq, member_count from rooms`;
  for (const person of [bob, eve, undefined]) {
    for (const [name, query] of Object.entries(OPERATIONS)) {
      const [ofHidden, ofMissing] = [await ask(app, query, hidden, person), await ask(app, query, missing, person)];
      assert.equal(ofHidden, ofMissing, `${name} for ${person?.username ?? "nobody"}`);
    }
    for (const after of [undefined, "cursor", "garbage"] as const) {
      const follow = async (ids: Ids) => await followAnswer(app, ids, { after, person });
      assert.equal(await follow(hidden), await follow(missing), `roomEvents after ${after} for ${person?.username}`);
    }
  }
  assert.deepEqual(await app.app.sql<Any[]>`select last_seq, member_count from rooms`, before, "nothing has happened");
  assert.match(await ask(app, OPERATIONS.room ?? "", hidden, alice), /"name":"Hidden"/, "its member does see it");
});

Deno.test("the list of public rooms never shows a private room, not even to its members", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await makePrivateRoom(app, alice);
  const list = '{ publicRooms(search: "hidden") { edges { node { id } } pageInfo { hasNextPage hasPreviousPage } } }';
  const nothing = { edges: [], pageInfo: { hasNextPage: false, hasPreviousPage: false } };
  for (const person of [alice, undefined]) assert.deepEqual(await app.run(list, {}, person), { publicRooms: nothing });
});

interface Ids {
  readonly room: string;
  readonly slug: string;
  readonly member: string;
  readonly message: string;
  readonly invite: string;
  readonly ban: string;
  readonly owner: string;
  readonly cursor: string;
}

async function makePrivateRoom(app: TestApp, owner: Person): Promise<Ids> {
  const input = { kind: "PRIVATE", name: "Hidden", slug: "hidden" };
  const { room } = await done(app, "createRoom", input, owner, "room { id slug viewerMembership { id } eventCursor }");
  const { id: message } = await app.send(owner, room, "secret");
  const { id, slug, viewerMembership, eventCursor: cursor } = room;
  const [invited, banned] = [await app.signUp("invited"), await app.signUp("banned")];
  const { invites } = await done(app, "inviteToRoom", { roomId: id, userIds: [invited.id] }, owner, "invites { id }");
  const { ban } = await done(app, "banMember", { roomId: id, userId: banned.id }, owner, "ban { id }");
  const ids = { room: id, member: viewerMembership.id, message, invite: invites[0].id, ban: ban.id, owner: owner.id };
  return { ...ids, slug, cursor };
}

/** The whole answer as text, without the ids that were asked for. */
async function ask(app: TestApp, query: string, ids: Ids, as?: Person): Promise<string> {
  return withoutIds(await app.post({ query, variables: ids }, as), ids);
}

async function followAnswer(
  app: TestApp,
  ids: Ids,
  { after, person }: { readonly after?: "cursor" | "garbage" | undefined; readonly person: Person | undefined },
): Promise<string> {
  await using socket = person ? await RawSocket.signIn(app, person) : await RawSocket.connect(app);
  const variables = { roomId: ids.room, after: after === "cursor" ? ids.cursor : after };
  return withoutIds(await socket.ask(ROOM_EVENTS, variables), ids);
}

function withoutIds(answer: object, ids: Ids): string {
  return Object.values<string>({ ...ids }).reduce((text, id) => text.replaceAll(id, "…"), JSON.stringify(answer));
}
