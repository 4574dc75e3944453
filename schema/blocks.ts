/** Blocked people: whom the viewer has blocked, and how one blocks and unblocks. */
import { requireViewer } from "../src/context.ts";
import { findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { blockUser, pageBlockedUsers, unblockUser } from "../src/users/blocks.ts";
import { builder, pageArgs, pageComplexity, viewerSlot } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { User, UserPages, Viewer } from "./users.ts";

builder.objectField(User, "viewerHasBlocked", (t) =>
  t.boolean({
    description: "Whether the viewer blocked this user.",
    resolve: viewerSlot(false, ({ id }, reader) => reader.relationTo(id).hasBlocked, ({ id }) => ({ userId: id })),
  }));

builder.objectField(Viewer, "blockedUsers", (t) =>
  t.field({
    type: UserPages.connection,
    description: "Users blocked by the viewer.",
    args: pageArgs(50),
    complexity: pageComplexity,
    resolve: (_viewer, args, ctx) => pageBlockedUsers(ctx.app, requireViewer(ctx).userId, parsePage(args)),
  }));

mutation("blockUser", {
  description: "Blocks a user: no direct messages, no invites, no mentions.",
  input: (t) => ({ userId: t.id({ required: true, description: "User to block." }) }),
  resolve: async ({ userId }, ctx) => ({
    userId: await blockUser(ctx.app, requireViewer(ctx).userId, findId("user", userId)),
  }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The blocked user.", resolve: ({ userId }) => userId }),
  }),
});

mutation("unblockUser", {
  description: "Lifts a block.",
  input: (t) => ({ userId: t.id({ required: true, description: "User to unblock." }) }),
  resolve: async ({ userId }, ctx) => ({
    userId: await unblockUser(ctx.app, requireViewer(ctx).userId, findId("user", userId)),
  }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The user.", resolve: ({ userId }) => userId }),
  }),
});
