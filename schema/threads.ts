/** Replies: quotes, and threads beside the main timeline. */
import { pageReplies } from "../src/messages/history.ts";
import { builder, pageArgs, pageComplexity } from "./builder.ts";
import { Message, MessagePages, responseLoader } from "./messages.ts";
import { Room } from "./rooms.ts";

builder.objectFields(Message, (t) => ({
  replyTo: t.field({
    type: Message,
    nullable: true,
    description: "The quoted message, in any position of the same room.",
    resolve: ({ replyToId }) => replyToId,
  }),
  threadRoot: t.field({
    type: Message,
    nullable: true,
    description: "The message that starts the thread this one is in; `null` in the main timeline.",
    resolve: ({ threadRootId }) => threadRootId,
  }),
  replies: t.field({
    type: MessagePages.connection,
    description: "Replies in the thread started by this message, oldest to newest. Without arguments: the newest 50.",
    args: pageArgs(),
    complexity: pageComplexity,
    resolve: async (root, args, ctx) => {
      const { epoch } = await Room.getDataloader(ctx).load(root.roomId);
      return await pageReplies(ctx.app, root, { ...args, epoch });
    },
  }),
  replyCount: t.int({
    description: "Number of replies in the thread.",
    resolve: async ({ id }, _args, ctx) => (await responseLoader(ctx).load(id)).replyCount,
  }),
  lastReplyAt: t.field({
    type: "DateTime",
    nullable: true,
    description: "When the last reply was written.",
    resolve: async ({ id }, _args, ctx) => (await responseLoader(ctx).load(id)).lastReplyAt,
  }),
}));
