/** Pins: messages that a room keeps in view. */
import { requireViewer } from "../src/context.ts";
import { findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import type { Message as MessageRow } from "../src/messages/messages.ts";
import { pagePinnedMessages, pinCursor, pinMessage, unpinMessage } from "../src/messages/pins.ts";
import { builder, pageArgs, pageComplexity } from "./builder.ts";
import { Message, MessagePages } from "./messages.ts";
import { mutation, type PayloadBuilder } from "./mutations.ts";
import { asMember, Room } from "./rooms.ts";
import { User } from "./users.ts";

builder.objectFields(Message, (t) => ({
  pinnedAt: t.expose("pinnedAt", { type: "DateTime", nullable: true, description: "When it was pinned." }),
  pinnedBy: t.field({
    type: User,
    nullable: true,
    description: "Who pinned it.",
    resolve: ({ pinnedById }) => pinnedById,
  }),
}));

builder.objectField(Room, "pinnedMessages", (t) =>
  t.field({
    type: MessagePages.connection,
    nullable: true,
    description: "Pinned messages, last pinned first.",
    args: pageArgs(50),
    complexity: pageComplexity,
    resolve: (room, args, ctx) => asMember(ctx, room, (member) => pagePinnedMessages(ctx.app, member, parsePage(args))),
  }));

const messageField = (t: PayloadBuilder<{ readonly message: MessageRow }>) =>
  t.field({ type: Message, nullable: true, description: "The changed message.", resolve: ({ message }) => message });

mutation("pinMessage", {
  description: "Pins a message.",
  input: (t) => ({ messageId: t.id({ required: true, description: "Message." }) }),
  resolve: async ({ messageId }, ctx) => ({
    message: await pinMessage(ctx.app, requireViewer(ctx), findId("message", messageId)),
  }),
  fields: (t) => ({
    message: messageField(t),
    messageEdge: t.field({
      type: MessagePages.edge,
      nullable: true,
      description: "Its edge in `room.pinnedMessages`.",
      resolve: ({ message }) => message && { cursor: pinCursor(message), node: message },
    }),
  }),
});

mutation("unpinMessage", {
  description: "Unpins a message.",
  input: (t) => ({ messageId: t.id({ required: true, description: "Message." }) }),
  resolve: async ({ messageId }, ctx) => ({
    message: await unpinMessage(ctx.app, requireViewer(ctx), findId("message", messageId)),
  }),
  fields: (t) => ({
    message: messageField(t),
  }),
});
