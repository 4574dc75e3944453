/** People: `User` is what everyone sees, `Viewer` what only its owner does. */
import { requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { type AccountRole as Role, findUserByUsername, listUsers, updateProfile } from "../src/users/users.ts";
import { listViewers, type ViewerAccount } from "../src/users/viewers.ts";
import { builder, Node, pageTypes, viewerSlot } from "./builder.ts";
import { mutation } from "./mutations.ts";

export const User = builder.loadableObject("User", {
  description: "A person. Deleted accounts stay as a placeholder, so authors are never `null`.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listUsers(ctx.app, ids),
  toKey: ({ id }) => id,
  sort: true,
  cacheResolved: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("user", id) }),
    username: t.exposeString("username", { description: "Unique handle, lower case, without `@`." }),
    displayName: t.exposeString("displayName", { description: "Name to show." }),
    bio: t.exposeString("bio", { nullable: true, description: "Short text about the user." }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When the account was created." }),
    isDeleted: t.boolean({
      description: "Whether the account was deleted.",
      resolve: ({ deletedAt }) => deletedAt !== null,
    }),
    isViewer: t.boolean({
      description: "Whether this is the viewer.",
      resolve: viewerSlot(false, ({ id }, { userId }) => id === userId),
    }),
  }),
});

export const UserPages = pageTypes(User, "User", "user", "users");

export const AccountRole = builder.enumType("AccountRole", {
  description: "Role of an account on this server.",
  values: {
    USER: { description: "A normal account." },
    ADMIN: { description: "May use the admin mutations." },
  } satisfies Record<Role, { description: string }>,
});

export const Viewer = builder.loadableObject("Viewer", {
  description:
    "Everything private to the signed-in account. Public fields are on `user`, which is shared with the rest of the cache.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listViewers(ctx.app, ids),
  toKey: ({ id }: ViewerAccount) => id,
  sort: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("viewer", id) }),
    user: t.field({ type: User, description: "Public face of the account.", resolve: (viewer) => viewer }),
    email: t.expose("email", { type: "EmailAddress", description: "Address of the account." }),
    role: t.expose("role", { type: AccountRole, description: "Role on this server." }),
  }),
});

builder.queryFields((t) => ({
  viewer: t.field({
    type: Viewer,
    nullable: true,
    description:
      "The signed-in account; `null` when signed out (never an error, so it is safe as the first query of an app).",
    resolve: (_root, _args, ctx) => ctx.viewer?.userId ?? null,
  }),
  user: t.field({
    type: User,
    nullable: true,
    description: "A user.",
    args: { id: t.arg.id({ required: true, description: "Global id of the user." }) },
    resolve: (_root, { id }, ctx) => requireViewer(ctx) && findId("user", id),
  }),
  userByUsername: t.field({
    type: User,
    nullable: true,
    description: "A user by handle.",
    args: { username: t.arg.string({ required: true, description: "Handle, without `@`." }) },
    resolve: (_root, { username }, ctx) => requireViewer(ctx) && findUserByUsername(ctx.app, username),
  }),
}));

mutation("updateProfile", {
  description: "Changes the viewer's profile.",
  about: "; fields left out stay as they are, `null` clears",
  input: (t) => ({
    username: t.string({ description: "Handle." }),
    displayName: t.string({ description: "Name to show." }),
    bio: t.string({ description: "Short text." }),
  }),
  resolve: async (input, ctx) => ({ user: await updateProfile(ctx.app, requireViewer(ctx).userId, input) }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The changed user.", resolve: ({ user }) => user }),
  }),
});
