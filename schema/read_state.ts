/** What has been read: by the viewer, counted, and by the others, as receipts. */
import { findOptionalId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import type { Message as MessageRow } from "../src/messages/messages.ts";
import { countReaders, listLastRead, markRoomRead, pageReaders } from "../src/messages/read_state.ts";
import type { Member } from "../src/rooms/members.ts";
import { builder, pageArgs, pageComplexity } from "./builder.ts";
import { RoomMember, RoomMemberPages } from "./members.ts";
import { Message } from "./messages.ts";
import { mutation } from "./mutations.ts";
import { requireKey, Room } from "./rooms.ts";
import { Viewer } from "./users.ts";

builder.objectFields(Viewer, (t) => ({
  unreadCount: t.int({
    description: "Unread messages in all rooms, muted rooms excluded.",
    resolve: async (_viewer, _args, ctx) => (await ctx.unreadInAll()).messages,
  }),
  mentionCount: t.int({
    description: "Unread mentions in all rooms.",
    resolve: async (_viewer, _args, ctx) => (await ctx.unreadInAll()).mentions,
  }),
}));

builder.objectFields(Room, (t) => ({
  viewerUnreadCount: t.int({
    description: "Messages after the viewer's read position; exact up to 999.",
    resolve: async ({ id }, _args, ctx) => (await ctx.unreadIn(id)).messages,
  }),
  viewerMentionCount: t.int({
    description: "Unread mentions of the viewer.",
    resolve: async ({ id }, _args, ctx) => (await ctx.unreadIn(id)).mentions,
  }),
}));

builder.objectFields(RoomMember, (t) => ({
  lastReadMessage: t.loadable({
    type: Message,
    nullable: true,
    description: "Last message the user has read; `null` if none or if the user hides read receipts.",
    load: (members: Member[], ctx) => listLastRead(ctx.app, members),
    resolve: (member) => member,
  }),
  lastReadAt: t.expose("lastReadAt", { type: "DateTime", nullable: true, description: "When it was read." }),
}));

builder.objectFields(Message, (t) => ({
  readByCount: t.loadable({
    type: "Int",
    description: "Members, other than the author, that have read up to here.",
    load: (messages: MessageRow[], ctx) => countReaders(ctx.app, messages),
    resolve: (message) => message,
  }),
  readBy: t.field({
    type: RoomMemberPages.connection,
    description: "Those members.",
    args: pageArgs(20),
    complexity: pageComplexity,
    resolve: (message, args, ctx) => pageReaders(ctx.app, message, parsePage(args)),
  }),
}));

mutation("markRoomRead", {
  description: "Moves the viewer's read position forward.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    messageId: t.id({ description: "Last message read; default the newest. The position never moves back." }),
  }),
  resolve: async ({ roomId, messageId }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return { member: await markRoomRead(ctx.app, member, { messageId: findOptionalId("message", messageId) }) };
  },
  fields: (t) => ({
    room: t.field({
      type: Room,
      nullable: true,
      description: "The room, with the new unread counts.",
      resolve: ({ member }) => member?.roomId,
    }),
    member: t.field({
      type: RoomMember,
      nullable: true,
      description: "The viewer's membership, with the new read position.",
      resolve: ({ member }) => member,
    }),
    viewer: t.field({
      type: Viewer,
      nullable: true,
      description: "The viewer, with the new totals.",
      resolve: ({ member }) => member?.userId,
    }),
  }),
});
