/** Reactions: emoji that people give to messages. */
import { requireViewer } from "../src/context.ts";
import { findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { addReaction, pageReactors, removeReaction } from "../src/messages/reactions.ts";
import type { ReactionGroup as Group } from "../src/messages/responses.ts";
import { builder, pageArgs, pageComplexity, viewerSlot } from "./builder.ts";
import { Message, responseLoader } from "./messages.ts";
import { mutation, type PayloadBuilder } from "./mutations.ts";
import { UserPages } from "./users.ts";

const ReactionGroup = builder.objectRef<Group>("ReactionGroup").implement({
  description: "All reactions with one emoji to one message.",
  fields: (t) => ({
    emoji: t.exposeString("emoji", { description: "The emoji as Unicode text, e.g. `👍`." }),
    count: t.int({ description: "How many users reacted.", resolve: ({ userIds }) => userIds.length }),
    viewerHasReacted: t.boolean({
      description: "Whether the viewer is one of them.",
      resolve: viewerSlot(false, ({ userIds }, { userId }) => userIds.includes(userId)),
    }),
    users: t.field({
      type: UserPages.connection,
      description: "Who reacted, oldest first; page size up to 100.",
      args: pageArgs(10),
      complexity: pageComplexity,
      resolve: (group, args, ctx) => pageReactors(ctx.app, group, parsePage(args)),
    }),
  }),
});

builder.objectField(Message, "reactionGroups", (t) =>
  t.field({
    type: [ReactionGroup],
    description: "Reactions by emoji, in order of first use.",
    resolve: async ({ id }, _args, ctx) => [...(await responseLoader(ctx).load(id)).reactionGroups],
  }));

const reacted = (t: PayloadBuilder<{ messageId: string }>) => ({
  message: t.field({
    type: Message,
    nullable: true,
    description: "The message, with the new `reactionGroups`.",
    resolve: ({ messageId }) => messageId,
  }),
});

mutation("addReaction", {
  description: "Adds a reaction.",
  result: "; adding twice is not an error",
  input: (t) => ({
    messageId: t.id({ required: true, description: "Message." }),
    emoji: t.string({ required: true, description: "One emoji as Unicode text." }),
  }),
  resolve: async ({ messageId, emoji }, ctx) => ({
    messageId: await addReaction(ctx.app, requireViewer(ctx), { messageId: findId("message", messageId), emoji }),
  }),
  fields: reacted,
});

mutation("removeReaction", {
  description: "Removes the viewer's reaction.",
  result: "; removing twice is not an error",
  input: (t) => ({
    messageId: t.id({ required: true, description: "Message." }),
    emoji: t.string({ required: true, description: "One emoji as Unicode text." }),
  }),
  resolve: async ({ messageId, emoji }, ctx) => ({
    messageId: await removeReaction(ctx.app, requireViewer(ctx), { messageId: findId("message", messageId), emoji }),
  }),
  fields: reacted,
});
