/** Invites: making them, answering them, taking them back. */
import { requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import {
  type Invite,
  inviteCursor,
  type InviteStatus as Status,
  listInvites,
  pageRoomInvites,
  pageViewerInvites,
} from "../src/rooms/invites.ts";
import { acceptInvite, declineInvite, inviteToRoom, revokeInvite } from "../src/rooms/inviting.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { RoomMember } from "./members.ts";
import { mutation, type PayloadBuilder } from "./mutations.ts";
import { asPermitted, knownRoom, loadRoomEdge, requireKey, Room, RoomPages } from "./rooms.ts";
import { User, Viewer } from "./users.ts";

const InviteStatus = builder.enumType("InviteStatus", {
  description: "State of an invite.",
  values: {
    PENDING: { description: "Waiting for the invitee." },
    ACCEPTED: { description: "Accepted." },
    DECLINED: { description: "Declined by the invitee." },
    REVOKED: { description: "Taken back by a member of the room." },
    EXPIRED: { description: "Not answered in time." },
  } satisfies Record<Status, { description: string }>,
});

export const RoomInvite = builder.loadableObject("RoomInvite", {
  description: "Invite of a user to a room.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listInvites(ctx.app, ids),
  toKey: ({ id }: Invite) => id,
  sort: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("invite", id) }),
    room: knownRoom(t, "The room; only its public fields are set before the invite is accepted."),
    inviter: t.field({ type: User, description: "Who invited.", resolve: ({ inviterId }) => inviterId }),
    invitee: t.field({ type: User, description: "Who is invited.", resolve: ({ inviteeId }) => inviteeId }),
    status: t.expose("status", { type: InviteStatus, description: "State." }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was created." }),
    expiresAt: t.expose("expiresAt", { type: "DateTime", description: "When it expires." }),
  }),
});

export const RoomInvitePages = pageTypes(RoomInvite, "RoomInvite", "invite", "invites");

/** The edge of an invite in `viewer.invites`. */
export const inviteEdge = (node: Invite) => ({ cursor: inviteCursor(node), node });

builder.objectField(Viewer, "invites", (t) =>
  t.field({
    type: RoomInvitePages.connection,
    description: "Pending invites, newest first.",
    args: pageArgs(20),
    complexity: pageComplexity,
    resolve: (_viewer, args, ctx) => pageViewerInvites(ctx.app, requireViewer(ctx), parsePage(args)),
  }));

builder.objectField(Room, "invites", (t) =>
  t.field({
    type: RoomInvitePages.connection,
    nullable: true,
    description: "Pending invites; `null` without `INVITE_MEMBERS`.",
    args: pageArgs(50),
    complexity: pageComplexity,
    resolve: (room, args, ctx) =>
      asPermitted(ctx, room, {
        permission: "INVITE_MEMBERS",
        read: (member) => pageRoomInvites(ctx.app, member, parsePage(args)),
      }),
  }));

mutation("inviteToRoom", {
  description: "Invites users.",
  errors: "Why some or all were not made; empty on success.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    userIds: t.idList({ required: true, description: "Users to invite, up to 50." }),
  }),
  resolve: async ({ roomId, userIds }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return await inviteToRoom(ctx.app, member, userIds.map((id) => findId("user", id)));
  },
  fields: (t) => ({
    invites: t.field({
      type: [RoomInvite],
      nullable: true,
      description: 'The invites that were made; those that failed are in `errors` with `path` ["userIds", index].',
      resolve: ({ invites }) => invites && [...invites],
    }),
  }),
});

const inviteField = (t: PayloadBuilder<{ readonly invite: Invite }>) =>
  t.field({ type: RoomInvite, nullable: true, description: "The invite.", resolve: ({ invite }) => invite });

mutation("acceptInvite", {
  description: "Accepts an invite and joins.",
  input: (t) => ({ inviteId: t.id({ required: true, description: "Invite." }) }),
  resolve: ({ inviteId }, ctx) => acceptInvite(ctx.app, requireViewer(ctx), findId("invite", inviteId)),
  fields: (t) => ({
    invite: inviteField(t),
    roomEdge: t.field({
      type: RoomPages.edge,
      nullable: true,
      description: "Edge of the joined room in `viewer.rooms`.",
      resolve: ({ member }, _args, ctx) => member ? loadRoomEdge(ctx, member.roomId) : null,
    }),
    member: t.field({
      type: RoomMember,
      nullable: true,
      description: "The membership.",
      resolve: ({ member }) => member,
    }),
  }),
});

mutation("declineInvite", {
  description: "Declines an invite.",
  input: (t) => ({ inviteId: t.id({ required: true, description: "Invite." }) }),
  resolve: async ({ inviteId }, ctx) => ({
    invite: await declineInvite(ctx.app, requireViewer(ctx), findId("invite", inviteId)),
  }),
  fields: (t) => ({ invite: inviteField(t) }),
});

mutation("revokeInvite", {
  description: "Takes an invite back.",
  input: (t) => ({ inviteId: t.id({ required: true, description: "Invite." }) }),
  resolve: async ({ inviteId }, ctx) => ({
    invite: await revokeInvite(ctx.app, requireViewer(ctx), findId("invite", inviteId)),
  }),
  fields: (t) => ({ invite: inviteField(t) }),
});
