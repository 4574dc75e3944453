/** Signing in and out: accounts, tokens, and the list of signed-in devices. */
import { refreshConnection } from "../src/auth/connections.ts";
import { changePassword, logIn, register } from "../src/auth/accounts.ts";
import {
  type AuthTokens as Tokens,
  listSessions,
  logOut,
  refreshSession,
  revokeOtherSessions,
  revokeSession,
  type Session as SessionRow,
  type SignedIn,
} from "../src/auth/sessions.ts";
import { requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { builder, Node } from "./builder.ts";
import { mutation, type PayloadBuilder } from "./mutations.ts";
import { Viewer } from "./users.ts";

const AuthTokens = builder.objectRef<Tokens>("AuthTokens").implement({
  description: "Tokens of a session. Send the access token as `Authorization: Bearer <token>` or in `connection_init`.",
  fields: (t) => ({
    accessToken: t.exposeString("accessToken", { description: "Short-lived JWT." }),
    accessTokenExpiresAt: t.expose("accessTokenExpiresAt", {
      type: "DateTime",
      description: "When the access token expires.",
    }),
    refreshToken: t.exposeString("refreshToken", {
      description: "Single-use token for `refreshSession`; it is replaced on every refresh.",
    }),
    refreshTokenExpiresAt: t.expose("refreshTokenExpiresAt", {
      type: "DateTime",
      description: "When the refresh token expires.",
    }),
  }),
});

export const Session = builder.objectRef<SessionRow>("Session").implement({
  description: "A signed-in device.",
  interfaces: [Node],
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("session", id) }),
    isCurrent: t.boolean({
      description: "Whether this request belongs to the session.",
      resolve: ({ id }, _args, ctx) => id === ctx.viewer?.sessionId,
    }),
    clientName: t.exposeString("clientName", {
      nullable: true,
      description: "Human-readable client, e.g. `Firefox on Linux`.",
    }),
    ipAddress: t.exposeString("ipAddress", { nullable: true, description: "Last IP address." }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When the session began." }),
    lastUsedAt: t.expose("lastUsedAt", { type: "DateTime", description: "When it was last used (to the minute)." }),
    expiresAt: t.expose("expiresAt", { type: "DateTime", description: "When it ends unless refreshed." }),
  }),
});

builder.objectField(Viewer, "sessions", (t) =>
  t.field({
    type: [Session],
    description: "Signed-in devices, last used first (at most 100).",
    resolve: (_viewer, _args, ctx) => listSessions(ctx.app, requireViewer(ctx)),
  }));

const signedIn = (about: string, account = "The account.") => (t: PayloadBuilder<SignedIn>) => ({
  tokens: t.field({ type: AuthTokens, nullable: true, description: about, resolve: ({ tokens }) => tokens }),
  viewer: t.field({
    type: Viewer,
    nullable: true,
    description: account,
    resolve: ({ viewer }) => viewer?.userId,
  }),
});

mutation("register", {
  description: "Creates an account and signs in.",
  input: (t) => ({
    username: t.string({ required: true, description: "Handle: 3 to 30 of a-z, 0-9, `_`, `.`." }),
    email: t.string({ required: true, description: "E-mail address." }),
    password: t.string({ required: true, description: "At least 10 characters." }),
    displayName: t.string({ description: "Name to show; default is the handle." }),
    clientName: t.string({ description: "Name of this client for the session list." }),
  }),
  resolve: async (input, ctx) => ctx.signIn(await register(ctx.app, ctx.ipAddress, input)),
  fields: signedIn("Tokens of the new session.", "The new account."),
});

mutation("login", {
  description: "Signs in.",
  input: (t) => ({
    login: t.string({ required: true, description: "Handle or e-mail address." }),
    password: t.string({ required: true, description: "Password." }),
    clientName: t.string({ description: "Name of this client for the session list." }),
  }),
  resolve: async (input, ctx) => ctx.signIn(await logIn(ctx.app, ctx.ipAddress, input)),
  fields: signedIn("Tokens of the new session."),
});

mutation("refreshSession", {
  description: "Exchanges the refresh token for new tokens; works without or with an expired access token.",
  input: (t) => ({
    refreshToken: t.string({ required: true, description: "The last refresh token of the session." }),
  }),
  resolve: async ({ refreshToken }, ctx) => ctx.signIn(await refreshSession(ctx.app, refreshToken, ctx.ipAddress)),
  fields: signedIn("The new tokens."),
});

mutation("refreshConnection", {
  description:
    "Extends the WebSocket that it is sent on to the expiry of a newer access token of the same session. No stream " +
    "on the socket is interrupted, and operations that come later have the new token.",
  input: (t) => ({
    accessToken: t.string({ required: true, description: "The newer token, e.g. of `refreshSession`." }),
  }),
  resolve: async ({ accessToken }, ctx) => ({
    accessTokenExpiresAt: await refreshConnection(ctx.app, ctx.connection, accessToken),
  }),
  fields: (t) => ({
    accessTokenExpiresAt: t.expose("accessTokenExpiresAt", {
      type: "DateTime",
      nullable: true,
      description: "When the socket is closed with 4403 now, unless it is extended again.",
    }),
  }),
});

mutation("logout", {
  description: "Ends the current session and closes its sockets.",
  resolve: async (_input, ctx) => ({ sessionId: await logOut(ctx.app, ctx.viewer) }),
  fields: (t) => ({
    endedSessionId: t.id({
      nullable: true,
      description: "Id of the session that ended; `null` if there was none.",
      resolve: ({ sessionId }) => sessionId && encodeId("session", sessionId),
    }),
  }),
});

mutation("revokeSession", {
  description: "Ends one session of the viewer.",
  input: (t) => ({
    sessionId: t.id({ required: true, description: "Session to end; its sockets are closed." }),
  }),
  resolve: async ({ sessionId }, ctx) => ({
    sessionId: await revokeSession(ctx.app, requireViewer(ctx), findId("session", sessionId)),
  }),
  fields: (t) => ({
    endedSessionId: t.id({
      nullable: true,
      description: "Id of the session that ended.",
      resolve: ({ sessionId }) => sessionId && encodeId("session", sessionId),
    }),
  }),
});

mutation("revokeOtherSessions", {
  description: "Ends all sessions of the viewer but this one.",
  resolve: async (_input, ctx) => ({ sessionIds: await revokeOtherSessions(ctx.app, requireViewer(ctx)) }),
  fields: (t) => ({
    endedSessionIds: t.idList({
      nullable: true,
      description: "Ids of the sessions that ended.",
      resolve: ({ sessionIds }) => sessionIds?.map((id) => encodeId("session", id)),
    }),
  }),
});

mutation("changePassword", {
  description: "Changes the password.",
  result: "; all other sessions are ended",
  input: (t) => ({
    currentPassword: t.string({ required: true, description: "The password now." }),
    newPassword: t.string({ required: true, description: "The new one." }),
  }),
  resolve: async (input, ctx) => ({ userId: await changePassword(ctx.app, requireViewer(ctx), input) }),
  fields: (t) => ({
    viewer: t.field({ type: Viewer, nullable: true, description: "The account.", resolve: ({ userId }) => userId }),
  }),
});
