/** Who is online: of each user, counted in rooms, and live. */
import { requireViewer } from "../src/context.ts";
import { findId } from "../src/lib/ids.ts";
import {
  countOnlineMembers,
  lastSeenFor,
  type PresenceChange,
  presenceStatusFor,
  setPresence,
} from "../src/live/presence.ts";
import { followPresence } from "../src/live/presence_stream.ts";
import type { PresenceStatus as Status, User as UserRow } from "../src/users/users.ts";
import type { Room as RoomRow } from "../src/rooms/rooms.ts";
import { builder, viewerSlot } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { Room } from "./rooms.ts";
import { User } from "./users.ts";

const PresenceStatus = builder.enumType("PresenceStatus", {
  description: "Presence of a user, aggregated over all of the user's connections.",
  values: {
    ONLINE: { description: "At least one active connection." },
    AWAY: { description: "Connected but idle, or set to away." },
    DO_NOT_DISTURB: { description: "Connected and does not want to be disturbed." },
    OFFLINE: { description: "No connection, or set to invisible." },
  } satisfies Record<Status, { description: string }>,
});

const about = ({ id }: UserRow) => ({ userId: id });

builder.objectFields(User, (t) => ({
  presenceStatus: t.field({
    type: PresenceStatus,
    description: "Presence; live through `presence`.",
    resolve: viewerSlot<UserRow, Status>("OFFLINE", presenceStatusFor, about),
  }),
  lastSeenAt: t.field({
    type: "DateTime",
    nullable: true,
    description: "Last time online; `null` while online or if hidden.",
    resolve: viewerSlot<UserRow, Date | null>(null, lastSeenFor, about),
  }),
}));

builder.objectField(Room, "onlineMemberCount", (t) =>
  t.loadable({
    type: "Int",
    description: "Members online now.",
    load: (rooms: RoomRow[], ctx) => countOnlineMembers(ctx.app, rooms),
    resolve: (room) => room,
  }));

mutation("setPresence", {
  description: "Sets the viewer's presence.",
  input: (t) => ({
    status: t.field({
      type: PresenceStatus,
      required: true,
      description: "Status to show while connected; `OFFLINE` is invisible.",
    }),
  }),
  resolve: async ({ status }, ctx) => ({ userId: await setPresence(ctx.app, requireViewer(ctx).userId, status) }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The changed user.", resolve: ({ userId }) => userId }),
  }),
});

const PresenceTarget = builder.inputType("PresenceTarget", {
  description: "Whose presence to watch: exactly one of the fields.",
  isOneOf: true,
  fields: (t) => ({
    roomId: t.id({ description: "The members of a room." }),
    userIds: t.idList({ description: "These users, up to 200." }),
  }),
});

const PresenceUpdate = builder.objectRef<PresenceChange>("PresenceUpdate").implement({
  description: "The presence of a user changed.",
  fields: (t) => ({
    user: t.field({
      type: User,
      description: "The user; select `id`, `presenceStatus` and `lastSeenAt`.",
      resolve: ({ userId }) => userId,
    }),
  }),
});

builder.subscriptionField("presence", (t) =>
  t.field({
    type: PresenceUpdate,
    description: "Presence of users.",
    args: {
      target: t.arg({ type: PresenceTarget, required: true, description: "A room's members, or some users." }),
    },
    subscribe: (_root, { target: { roomId, userIds } }, ctx): Promise<AsyncIterable<PresenceChange>> =>
      followPresence(
        ctx.app,
        requireViewer(ctx),
        userIds ? { userIds: userIds.map((id) => findId("user", id)) } : { roomId: findId("room", roomId ?? "") },
      ),
    resolve: (change) => change,
  }));
