/** What one may do in a room and is told of it, and changing and deleting it. */
import { encodeId } from "../src/lib/ids.ts";
import { deleteRoom } from "../src/rooms/deletions.ts";
import type { NotificationLevel as Level } from "../src/rooms/members.ts";
import { listPermissions } from "../src/rooms/outsiders.ts";
import type { RoomPermission as Permission } from "../src/rooms/permissions.ts";
import type { Room as RoomRow } from "../src/rooms/rooms.ts";
import { updateRoomNotifications } from "../src/rooms/settings.ts";
import { updateRoomAndIcon } from "../src/uploads/pictures.ts";
import { builder } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { requireKey, Room, RoomKind } from "./rooms.ts";

const RoomPermission = builder.enumType("RoomPermission", {
  description: "What the viewer may do in a room; drives which buttons a client shows.",
  values: {
    READ: { description: "Read history and receive events." },
    JOIN: { description: "Join without an invite." },
    SEND_MESSAGES: { description: "Send messages and reactions." },
    ATTACH_FILES: { description: "Upload files." },
    MENTION_EVERYONE: { description: "Mention everyone in the room." },
    PIN_MESSAGES: { description: "Pin and unpin messages." },
    INVITE_MEMBERS: { description: "Invite users." },
    KICK_MEMBERS: { description: "Kick members." },
    BAN_MEMBERS: { description: "Ban and unban users." },
    MANAGE_MESSAGES: { description: "Delete the messages of others." },
    MANAGE_ROLES: { description: "Change roles." },
    MANAGE_ROOM: { description: "Edit name, topic, icon and settings." },
    DELETE_ROOM: { description: "Delete the room." },
  } satisfies Record<Permission, { description: string }>,
});

const NotificationLevel = builder.enumType("NotificationLevel", {
  description: "Which messages of a room notify the viewer.",
  values: {
    ALL: { description: "Every message." },
    MENTIONS: { description: "Mentions of and replies to the viewer." },
    NONE: { description: "Nothing." },
  } satisfies Record<Level, { description: string }>,
});

builder.objectFields(Room, (t) => ({
  viewerPermissions: t.loadableList({
    type: RoomPermission,
    description: "What the viewer may do here.",
    load: async (rooms: RoomRow[], ctx) => {
      const members = await Promise.all(rooms.map(({ id }) => ctx.memberOf(id)));
      return await listPermissions(ctx.app, ctx.viewer, { rooms, members });
    },
    resolve: (room) => room,
  }),
  viewerNotificationLevel: t.field({
    type: NotificationLevel,
    description: "Which messages notify the viewer; `NONE` if not a member.",
    resolve: async ({ id }, _args, ctx) => (await ctx.memberOf(id))?.notificationLevel ?? "NONE",
  }),
}));

mutation("updateRoom", {
  description: "Changes a room.",
  about: "; fields left out stay as they are, `null` clears",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    kind: t.field({ type: RoomKind, description: "`PUBLIC` or `PRIVATE`." }),
    name: t.string({ description: "Name." }),
    slug: t.string({ description: "Unique name for URLs." }),
    topic: t.string({ description: "What the room is about." }),
    icon: t.field({ type: "Upload", description: "Image file." }),
    slowModeSeconds: t.int({ description: "Seconds between two messages of one member." }),
  }),
  resolve: async ({ roomId, ...change }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return { roomId: await updateRoomAndIcon(ctx.app, member, change) };
  },
  fields: (t) => ({
    room: t.field({ type: Room, nullable: true, description: "The changed room.", resolve: ({ roomId }) => roomId }),
  }),
});

mutation("deleteRoom", {
  description: "Deletes a room and its messages.",
  input: (t) => ({ roomId: t.id({ required: true, description: "Room." }) }),
  resolve: async ({ roomId }, ctx) => {
    const member = await requireKey(ctx, roomId);
    return { roomId: await deleteRoom(ctx.app, member) };
  },
  fields: (t) => ({
    deletedRoomId: t.id({
      nullable: true,
      description: "Id of the deleted room.",
      resolve: ({ roomId }) => roomId && encodeId("room", roomId),
    }),
  }),
});

mutation("updateRoomNotifications", {
  description: "Changes which messages of a room notify the viewer.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    level: t.field({ type: NotificationLevel, required: true, description: "Which messages notify the viewer." }),
  }),
  resolve: async ({ roomId, level }, ctx) => {
    const member = await requireKey(ctx, roomId);
    await updateRoomNotifications(ctx.app, member, level);
    return { roomId: member.roomId };
  },
  fields: (t) => ({
    room: t.field({ type: Room, nullable: true, description: "The room.", resolve: ({ roomId }) => roomId }),
  }),
});
