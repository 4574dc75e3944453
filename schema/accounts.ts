/** Accounts as admins see and change them, and the end of one's own. */
import { listAccountRoles, listSuspensions, updateAccount } from "../src/admin/accounts.ts";
import { deleteAccount } from "../src/admin/account_deletion.ts";
import { requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import type { User as UserRow } from "../src/users/users.ts";
import { builder } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { AccountRole, User } from "./users.ts";

builder.objectFields(User, (t) => ({
  accountRole: t.loadable({
    type: AccountRole,
    nullable: true,
    description: "Role on this server; `null` unless the viewer is an admin or this user.",
    load: (users: UserRow[], ctx) => listAccountRoles(ctx.app, ctx.viewer, users),
    resolve: (user) => user,
  }),
  isSuspended: t.loadable({
    type: "Boolean",
    nullable: true,
    description: "Whether the account may not sign in; `null` unless the viewer is an admin.",
    load: (users: UserRow[], ctx) => listSuspensions(ctx.app, ctx.viewer, users),
    resolve: (user) => user,
  }),
}));

mutation("updateAccount", {
  description: "Admin: changes the role or suspends an account.",
  about: "; fields left out stay as they are",
  input: (t) => ({
    userId: t.id({ required: true, description: "User." }),
    role: t.field({ type: AccountRole, description: "Role on this server." }),
    isSuspended: t.boolean({ description: "Suspended accounts cannot sign in; their sessions end." }),
  }),
  resolve: async ({ userId, ...change }, ctx) => ({
    userId: await updateAccount(ctx.app, requireViewer(ctx), { userId: findId("user", userId), ...change }),
  }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The user.", resolve: ({ userId }) => userId }),
  }),
});

mutation("deleteAccount", {
  description: "Deletes the account; messages stay with a placeholder author.",
  input: (t) => ({ password: t.string({ required: true, description: "The password, as a confirmation." }) }),
  resolve: async ({ password }, ctx) => {
    const userId = await deleteAccount(ctx.app, requireViewer(ctx), password);
    ctx.signOut();
    return { userId };
  },
  fields: (t) => ({
    deletedUserId: t.id({
      nullable: true,
      description: "Id of the deleted user.",
      resolve: ({ userId }) => userId && encodeId("user", userId),
    }),
  }),
});
