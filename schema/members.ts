/** Memberships: who is in a room, how one comes in and how one goes. */
import { requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import type { RoomRole as Role } from "../src/rooms/events.ts";
import { joinRoom } from "../src/rooms/join.ts";
import { listMembers, type Member, pageMembers } from "../src/rooms/members.ts";
import { kickMember, leaveRoom } from "../src/rooms/removals.ts";
import { updateMember } from "../src/rooms/roles.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { asMember, findRoom, loadRoomEdge, requireKey, Room, RoomPages } from "./rooms.ts";
import { User } from "./users.ts";

const RoomRole = builder.enumType("RoomRole", {
  description: "Role of a member in a room, most powerful first.",
  values: {
    OWNER: { description: "Everything, including deleting the room and transferring ownership." },
    MODERATOR: { description: "May kick, ban, pin, delete others' messages, and edit the room." },
    MEMBER: { description: "May read and write." },
  } satisfies Record<Role, { description: string }>,
});

export const RoomMember = builder.loadableObject("RoomMember", {
  description:
    "Membership of a user in a room. It also carries the read position, so read receipts update one cached object.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listMembers(ctx.app, ids),
  toKey: ({ id }: Member) => id,
  sort: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("member", id) }),
    room: t.field({ type: Room, description: "The room.", resolve: ({ roomId }) => roomId }),
    user: t.field({ type: User, description: "The user.", resolve: ({ userId }) => userId }),
    role: t.expose("role", { type: RoomRole, description: "Role in the room." }),
    joinedAt: t.expose("joinedAt", { type: "DateTime", description: "When the user joined." }),
    mutedUntil: t.expose("mutedUntil", {
      type: "DateTime",
      nullable: true,
      description: "Until when the member may not write.",
    }),
  }),
});

export const RoomMemberPages = pageTypes(RoomMember, "RoomMember", "member", "members");

builder.objectFields(Room, (t) => ({
  members: t.field({
    type: RoomMemberPages.connection,
    nullable: true,
    description: "Members; owners, then moderators, then by name.",
    args: {
      search: t.arg.string({ description: "Prefix of handle or name." }),
      roles: t.arg({ type: [RoomRole], description: "Only these roles; default all." }),
      ...pageArgs(50),
    },
    complexity: pageComplexity,
    resolve: (room, args, ctx) =>
      asMember(ctx, room, (member) => pageMembers(ctx.app, member, { filter: args, page: parsePage(args) })),
  }),
  viewerMembership: t.field({
    type: RoomMember,
    nullable: true,
    description: "The viewer's membership; `null` if not a member.",
    resolve: (room, _args, ctx) => ctx.memberOf(room.id),
  }),
}));

mutation("joinRoom", {
  description: "Joins a room.",
  result: "; joining twice is not an error",
  input: (t) => ({ roomId: t.id({ required: true, description: "A public room, or one the viewer is invited to." }) }),
  resolve: async ({ roomId }, ctx) => ({ member: await joinRoom(ctx.app, requireViewer(ctx), findId("room", roomId)) }),
  fields: (t) => ({
    room: t.field({
      type: Room,
      nullable: true,
      description: "The joined room.",
      resolve: ({ member }) => member?.roomId,
    }),
    roomEdge: t.field({
      type: RoomPages.edge,
      nullable: true,
      description: "Its edge in `viewer.rooms`.",
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

mutation("leaveRoom", {
  description: "Leaves a room.",
  result: "; leaving twice is not an error",
  input: (t) => ({ roomId: t.id({ required: true, description: "Room." }) }),
  resolve: async ({ roomId }, ctx) => ({
    roomId: await leaveRoom(ctx.app, requireViewer(ctx), findId("room", roomId)),
  }),
  fields: (t) => ({
    room: t.field({
      type: Room,
      nullable: true,
      description: "The room, as seen by a non-member; `null` if it is no longer visible.",
      resolve: ({ roomId }, _args, ctx) => findRoom(ctx, roomId ?? null),
    }),
    leftRoomId: t.id({
      nullable: true,
      description: "Its id, to drop it from lists.",
      resolve: ({ roomId }) => roomId && encodeId("room", roomId),
    }),
  }),
});

mutation("kickMember", {
  description: "Removes a member.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    userId: t.id({ required: true, description: "User to remove; may join or be invited again." }),
    reason: t.string({ description: "Reason, shown to the user." }),
  }),
  resolve: async ({ roomId, userId, reason }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return {
      roomId: member.roomId,
      memberId: await kickMember(ctx.app, member, { userId: findId("user", userId), reason }),
    };
  },
  fields: (t) => ({
    room: t.field({ type: Room, nullable: true, description: "The room.", resolve: ({ roomId }) => roomId }),
    removedMemberId: t.id({
      nullable: true,
      description: "Id of the membership that ended.",
      resolve: ({ memberId }) => memberId && encodeId("member", memberId),
    }),
  }),
});

mutation("updateMember", {
  description: "Changes the role or mutes a member.",
  about: "; fields left out stay as they are",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    userId: t.id({ required: true, description: "Member." }),
    role: t.field({ type: RoomRole, description: "New role; `OWNER` adds an owner." }),
    mutedUntil: t.field({ type: "DateTime", description: "Until when the member may not write; `null` lifts it." }),
  }),
  resolve: async ({ roomId, userId, ...change }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return { member: await updateMember(ctx.app, member, { ...change, userId: findId("user", userId) }) };
  },
  fields: (t) => ({
    member: t.field({
      type: RoomMember,
      nullable: true,
      description: "The changed member.",
      resolve: ({ member }) => member,
    }),
  }),
});
