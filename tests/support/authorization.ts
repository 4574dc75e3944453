/** The table of who may do what: one row for every field of the three root types. */
import type { Any, Person } from "./app.ts";
import { shareFile, uploadText } from "./uploads.ts";
import { done } from "./mutations.ts";
import { logIn } from "./sessions.ts";
import { addMember, invite, type Kind, makePrivateRoom, say, type World } from "./worlds.ts";

/** Input of the mutation, or arguments and selection of another field; made anew for every kind of people. */
export interface Request {
  readonly input?: object;
  /** Arguments in GraphQL, with `$room` and `$id` bound. */
  readonly args?: string;
  readonly id?: string;
  readonly select?: string;
  /** Who asks, where it is not the usual person of the kind. */
  readonly as?: Person | undefined;
}

export interface Row {
  /** What nobody, a stranger, a member, a removed member, a moderator, the owner and an admin get: `ok`, `null`, `empty`
   * (a page without rows), or a code. */
  readonly outcomes: string;
  readonly ask: (world: World, kind: Kind) => Request | Promise<Request>;
}

const OF_MEMBERS = "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND ok ok NOT_FOUND";
const OF_MODERATORS = "UNAUTHENTICATED NOT_FOUND FORBIDDEN NOT_FOUND ok ok NOT_FOUND";
const OF_THE_SIGNED_IN = "UNAUTHENTICATED ok ok ok ok ok ok";
const OF_ADMINS = "UNAUTHENTICATED FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN FORBIDDEN ok";
const OF_ALL = "ok ok ok ok ok ok ok";
const SEEN_BY_MEMBERS = "UNAUTHENTICATED null ok null ok ok null";

const password = "correct horse battery";
const account = () => {
  const username = `new_${crypto.randomUUID().slice(0, 8)}`;
  return { username, password, email: `${username}@example.com` };
};
const inRoom = ({ room }: World, more: object = {}) => ({ input: { roomId: room.id, ...more } });
const newMember = async ({ app, room, people }: World): Promise<Person> => {
  const person = await app.signUp("victim");
  await addMember(app, room, { by: people.owner, person });
  return person;
};
const overMember = (more: object = {}) => async (world: World) =>
  inRoom(world, { userId: (await newMember(world)).id, ...more });
const overMessage = (more: object = {}) => async ({ app, people, room }: World) => ({
  input: { messageId: await say(app, people.member, { roomId: room.id }), ...more },
});
const newInvite = async ({ app, room, people }: World) => ({
  input: { inviteId: await invite(app, room, { by: people.owner, person: await app.signUp("guest") }) },
});
const overScheduled = async ({ app, people, room }: World, more: object = {}) => {
  const input = { roomId: room.id, content: "Later", sendAt: new Date(Date.now() + 3_600_000) };
  const { scheduledMessage } = await done(app, "scheduleMessage", input, people.member, "scheduledMessage { id }");
  return { input: { scheduledMessageId: scheduledMessage.id, ...more } };
};
const newAnnouncement = async ({ app, people }: World) => {
  const input = { audience: { everyone: true }, title: "News", content: "All is well" };
  const { announcement } = await done(app, "publishAnnouncement", input, people.admin, "announcement { id }");
  return announcement.id;
};
const other = async ({ app }: World) => (await app.signUp("other")).id;
const ofDevice = async ({ app, people }: World, kind: Kind) => ({
  as: kind === "nobody" ? undefined : await logIn(app, people[kind]),
});

export const ROWS: Readonly<Record<string, Row>> = {
  "Query.node": {
    outcomes: SEEN_BY_MEMBERS,
    ask: async ({ app, people, room }) => ({
      args: "(id: $id)",
      id: await say(app, people.owner, { roomId: room.id }),
      select: "{ id }",
    }),
  },
  "Query.nodes": {
    outcomes: SEEN_BY_MEMBERS,
    ask: ({ room }) => ({ args: "(ids: [$id])", id: room.id, select: "{ id }" }),
  },
  "Query.viewer": { outcomes: "null ok ok ok ok ok ok", ask: () => ({ select: "{ id }" }) },
  "Query.user": {
    outcomes: OF_THE_SIGNED_IN,
    ask: async (world) => ({ args: "(id: $id)", id: await other(world), select: "{ id }" }),
  },
  "Query.userByUsername": {
    outcomes: OF_THE_SIGNED_IN,
    ask: ({ people }) => ({ args: `(username: "${people.owner.username}")`, select: "{ id }" }),
  },
  "Query.searchUsers": {
    outcomes: SEEN_BY_MEMBERS,
    ask: () => ({ args: `(query: "owner", roomId: $room)`, select: "{ nodes { id } edges { cursor } }" }),
  },
  "Query.room": { outcomes: "null null ok null ok ok null", ask: () => ({ args: "(id: $room)", select: "{ id }" }) },
  "Query.roomBySlug": {
    outcomes: "null null ok null ok ok null",
    ask: ({ room }) => ({ args: `(slug: "${room.slug}")`, select: "{ id }" }),
  },
  "Query.publicRooms": {
    outcomes: "empty empty empty empty empty empty empty",
    ask: () => ({ select: "{ edges { cursor } }" }),
  },
  "Query.searchMessages": {
    outcomes: "UNAUTHENTICATED empty ok empty ok ok empty",
    ask: async ({ app, people, room }) => {
      await say(app, people.owner, { roomId: room.id, content: "The secret of the fox" });
      return { args: `(query: "secret fox", filter: { roomIds: [$room] })`, select: "{ edges { cursor } }" };
    },
  },
  "Query.announcements": {
    outcomes: OF_ALL,
    ask: async (world) => {
      await newAnnouncement(world);
      return { select: "{ edges { cursor } }" };
    },
  },
  "Query.serverStatus": { outcomes: OF_ALL, ask: () => ({ select: "{ status }" }) },
  "Mutation.register": { outcomes: OF_ALL, ask: () => ({ input: account() }) },
  "Mutation.login": { outcomes: OF_ALL, ask: ({ people }) => ({ input: { login: people.member.username, password } }) },
  "Mutation.refreshSession": {
    outcomes: OF_ALL,
    ask: async ({ app, people }) => ({ input: { refreshToken: (await logIn(app, people.member)).refreshToken } }),
  },
  // There is no socket here: tests/refresh_connection_test.ts has one.
  "Mutation.refreshConnection": {
    outcomes: OF_ALL.replaceAll("ok", "BAD_USER_INPUT"),
    ask: ({ people }) => ({ input: { accessToken: people.member.token } }),
  },
  "Mutation.logout": { outcomes: OF_ALL, ask: ofDevice },
  "Mutation.revokeSession": {
    outcomes: "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ask: async ({ app, people }) => {
      const device = await logIn(app, people.member);
      const { viewer } = await app.run("{ viewer { sessions { id isCurrent } } }", {}, device);
      return { input: { sessionId: viewer.sessions.find(({ isCurrent }: Any) => isCurrent).id } };
    },
  },
  "Mutation.revokeOtherSessions": { outcomes: OF_THE_SIGNED_IN, ask: () => ({}) },
  "Mutation.changePassword": {
    outcomes: OF_THE_SIGNED_IN.replaceAll("ok", "INVALID_CREDENTIALS"),
    ask: () => ({ input: { currentPassword: "not this one", newPassword: "correct horse battery 2" } }),
  },
  "Mutation.deleteAccount": {
    outcomes: OF_THE_SIGNED_IN.replaceAll("ok", "INVALID_CREDENTIALS"),
    ask: () => ({ input: { password: "not this one" } }),
  },
  "Mutation.updateProfile": { outcomes: OF_THE_SIGNED_IN, ask: () => ({ input: { bio: "I was here" } }) },
  "Mutation.setPresence": { outcomes: OF_THE_SIGNED_IN, ask: () => ({ input: { status: "AWAY" } }) },
  "Mutation.blockUser": {
    outcomes: OF_THE_SIGNED_IN,
    ask: async (world) => ({ input: { userId: await other(world) } }),
  },
  "Mutation.unblockUser": {
    outcomes: OF_THE_SIGNED_IN,
    ask: async (world) => ({ input: { userId: await other(world) } }),
  },
  "Mutation.createRoom": { outcomes: OF_THE_SIGNED_IN, ask: () => ({ input: { kind: "PRIVATE", name: "Mine" } }) },
  "Mutation.updateRoom": { outcomes: OF_MODERATORS, ask: (world, kind) => inRoom(world, { topic: kind }) },
  "Mutation.deleteRoom": {
    outcomes: "UNAUTHENTICATED NOT_FOUND FORBIDDEN NOT_FOUND FORBIDDEN ok NOT_FOUND",
    ask: async ({ app, people }) => ({ input: { roomId: (await makePrivateRoom(app, people)).id } }),
  },
  "Mutation.openDirectRoom": {
    outcomes: OF_THE_SIGNED_IN,
    ask: async (world) => ({ input: { userIds: [await other(world)] } }),
  },
  "Mutation.joinRoom": { outcomes: OF_MEMBERS, ask: (world) => inRoom(world) },
  "Mutation.leaveRoom": {
    outcomes: "UNAUTHENTICATED ok ok ok ok LAST_OWNER ok",
    ask: async ({ app, people }) => ({ input: { roomId: (await makePrivateRoom(app, people)).id } }),
  },
  "Mutation.inviteToRoom": {
    outcomes: OF_MODERATORS,
    ask: async (world) => inRoom(world, { userIds: [await other(world)] }),
  },
  "Mutation.acceptInvite": {
    outcomes: "UNAUTHENTICATED NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ask: newInvite,
  },
  "Mutation.declineInvite": {
    outcomes: "UNAUTHENTICATED NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ask: newInvite,
  },
  "Mutation.revokeInvite": {
    outcomes: "UNAUTHENTICATED NOT_FOUND NOT_FOUND NOT_FOUND ok ok NOT_FOUND",
    ask: newInvite,
  },
  "Mutation.kickMember": { outcomes: OF_MODERATORS, ask: overMember() },
  "Mutation.banMember": { outcomes: OF_MODERATORS, ask: overMember() },
  "Mutation.unbanMember": {
    outcomes: OF_MODERATORS,
    ask: async (world) => {
      const request = inRoom(world, { userId: await other(world) });
      await done(world.app, "banMember", request.input, world.people.owner);
      return request;
    },
  },
  "Mutation.updateMember": {
    outcomes: "UNAUTHENTICATED NOT_FOUND FORBIDDEN NOT_FOUND FORBIDDEN ok NOT_FOUND",
    ask: overMember({ role: "MODERATOR" }),
  },
  "Mutation.updateMember (mute)": {
    outcomes: OF_MODERATORS,
    ask: overMember({ mutedUntil: new Date(Date.now() + 3_600_000) }),
  },
  "Mutation.updateRoomNotifications": { outcomes: OF_MEMBERS, ask: (world) => inRoom(world, { level: "MENTIONS" }) },
  "Mutation.sendMessage": { outcomes: OF_MEMBERS, ask: (world) => inRoom(world, { content: "Hello" }) },
  "Mutation.editMessage": {
    outcomes: "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND FORBIDDEN FORBIDDEN NOT_FOUND",
    ask: overMessage({ content: "Edited" }),
  },
  "Mutation.deleteMessage": { outcomes: OF_MEMBERS, ask: overMessage() },
  "Mutation.addReaction": { outcomes: OF_MEMBERS, ask: overMessage({ emoji: "👍" }) },
  "Mutation.removeReaction": { outcomes: OF_MEMBERS, ask: overMessage({ emoji: "👍" }) },
  "Mutation.pinMessage": { outcomes: OF_MODERATORS, ask: overMessage() },
  "Mutation.unpinMessage": { outcomes: OF_MODERATORS, ask: overMessage() },
  "Mutation.markRoomRead": { outcomes: OF_MEMBERS, ask: (world) => inRoom(world) },
  "Mutation.setTyping": { outcomes: OF_MEMBERS, ask: (world) => inRoom(world) },
  "Mutation.scheduleMessage": {
    outcomes: OF_MEMBERS,
    ask: (world) => inRoom(world, { content: "Later", sendAt: new Date(Date.now() + 3_600_000) }),
  },
  "Mutation.updateScheduledMessage": {
    outcomes: "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ask: (world) => overScheduled(world, { content: "Another text" }),
  },
  "Mutation.cancelScheduledMessage": {
    outcomes: "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ask: (world) => overScheduled(world),
  },
  "Mutation.uploadAttachments": {
    outcomes: "UNAUTHENTICATED NOT_FOUND EMPTY NOT_FOUND EMPTY EMPTY NOT_FOUND",
    ask: (world) => inRoom(world, { files: [] }),
  },
  "Mutation.createUpload": {
    outcomes: OF_MEMBERS,
    ask: (world) => inRoom(world, { filename: "film.mp4", byteSize: 1_000 }),
  },
  "Mutation.deleteAttachment": {
    outcomes: "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND FORBIDDEN FORBIDDEN NOT_FOUND",
    ask: async ({ app, people, room }) => ({ input: { attachmentId: await shareFile(app, people.member, room) } }),
  },
  "Mutation.deleteAttachment (not sent)": {
    outcomes: "UNAUTHENTICATED NOT_FOUND ok NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND",
    ask: async ({ app, people, room }) => ({ input: { attachmentId: await uploadText(app, people.member, room) } }),
  },
  "Mutation.updateAvatar": { outcomes: OF_THE_SIGNED_IN, ask: () => ({ input: { file: null } }) },
  "Mutation.markNotificationsRead": { outcomes: OF_THE_SIGNED_IN, ask: () => ({ input: {} }) },
  "Mutation.dismissAnnouncement": {
    outcomes: OF_THE_SIGNED_IN,
    ask: async (world) => ({ input: { announcementId: await newAnnouncement(world) } }),
  },
  "Mutation.publishAnnouncement": {
    outcomes: OF_ADMINS,
    ask: () => ({ input: { audience: { everyone: true }, title: "News", content: "All is well" } }),
  },
  "Mutation.retractAnnouncement": {
    outcomes: OF_ADMINS,
    ask: async (world) => ({ input: { announcementId: await newAnnouncement(world) } }),
  },
  "Mutation.updateAccount": {
    outcomes: OF_ADMINS,
    ask: async (world) => ({ input: { userId: await other(world), isSuspended: true } }),
  },
  "Subscription.roomEvents": { outcomes: OF_MEMBERS, ask: () => ({ args: "(roomId: $room)", select: "{ cursor }" }) },
  "Subscription.roomTyping": {
    outcomes: OF_MEMBERS,
    ask: () => ({ args: "(roomId: $room)", select: "{ room { id } }" }),
  },
  "Subscription.presence": {
    outcomes: OF_MEMBERS,
    ask: () => ({ args: "(target: { roomId: $room })", select: "{ user { id } }" }),
  },
  "Subscription.viewerEvents": { outcomes: OF_THE_SIGNED_IN, ask: () => ({ select: "{ cursor }" }) },
};
