/** Bans: keeping people out of a room, and letting them in again. */
import { encodeId, findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { banMember } from "../src/messages/moderation.ts";
import { type Ban, listBans, pageBans, unbanUser } from "../src/rooms/bans.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { asPermitted, requireKey, Room } from "./rooms.ts";
import { User } from "./users.ts";

export const RoomBan = builder.loadableObject("RoomBan", {
  description: "Ban of a user from a room.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listBans(ctx.app, ids),
  toKey: ({ id }: Ban) => id,
  sort: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("ban", id) }),
    room: t.field({ type: Room, description: "The room.", resolve: ({ roomId }) => roomId }),
    user: t.field({ type: User, description: "The banned user.", resolve: ({ userId }) => userId }),
    moderator: t.field({ type: User, description: "Who banned.", resolve: ({ moderatorId }) => moderatorId }),
    reason: t.exposeString("reason", { nullable: true, description: "Reason given." }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was made." }),
    expiresAt: t.expose("expiresAt", {
      type: "DateTime",
      nullable: true,
      description: "When it ends; `null` for never.",
    }),
  }),
});

const RoomBanPages = pageTypes(RoomBan, "RoomBan", "ban", "bans");

builder.objectField(Room, "bans", (t) =>
  t.field({
    type: RoomBanPages.connection,
    nullable: true,
    description: "Bans; `null` without `BAN_MEMBERS`.",
    args: pageArgs(50),
    complexity: pageComplexity,
    resolve: (room, args, ctx) =>
      asPermitted(ctx, room, {
        permission: "BAN_MEMBERS",
        read: (member) => pageBans(ctx.app, member, parsePage(args)),
      }),
  }));

mutation("banMember", {
  description: "Bans a user.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    userId: t.id({ required: true, description: "User to ban; need not be a member." }),
    reason: t.string({ description: "Reason, shown to the user." }),
    expiresAt: t.field({ type: "DateTime", description: "When the ban ends; default never." }),
    deleteMessagesHours: t.int({
      required: true,
      defaultValue: 0,
      description: "Also delete the user's messages of the last hours, up to 168.",
    }),
  }),
  resolve: async ({ roomId, userId, ...input }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return await banMember(ctx.app, member, { ...input, userId: findId("user", userId) });
  },
  fields: (t) => ({
    ban: t.field({ type: RoomBan, nullable: true, description: "The ban.", resolve: ({ ban }) => ban }),
    room: t.field({ type: Room, nullable: true, description: "The room.", resolve: ({ ban }) => ban?.roomId }),
    removedMemberId: t.id({
      nullable: true,
      description: "Id of the membership that ended, if there was one.",
      resolve: ({ removedMemberId }) => removedMemberId && encodeId("member", removedMemberId),
    }),
  }),
});

mutation("unbanMember", {
  description: "Lifts a ban.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    userId: t.id({ required: true, description: "Banned user." }),
  }),
  resolve: async ({ roomId, userId }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return { roomId: member.roomId, banId: await unbanUser(ctx.app, member, findId("user", userId)) };
  },
  fields: (t) => ({
    removedBanId: t.id({
      nullable: true,
      description: "Id of the ban that ended.",
      resolve: ({ banId }) => banId && encodeId("ban", banId),
    }),
    room: t.field({ type: Room, nullable: true, description: "The room.", resolve: ({ roomId }) => roomId }),
  }),
});
