/** Direct conversations: opening them, and finding the one with somebody. */
import { requireViewer } from "../src/context.ts";
import { findId } from "../src/lib/ids.ts";
import { listDirectRooms, openDirectRoom } from "../src/rooms/direct_rooms.ts";
import { builder } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { Room, roomEdge, RoomPages } from "./rooms.ts";
import { User } from "./users.ts";

builder.objectField(User, "viewerDirectRoom", (t) =>
  t.loadable({
    type: Room,
    nullable: true,
    description: "The one-to-one conversation with the viewer, if there is one.",
    load: (userIds: string[], ctx) => listDirectRooms(ctx.app, ctx.viewer, userIds),
    resolve: ({ id }) => id,
  }));

mutation("openDirectRoom", {
  description: "Gets or creates the direct conversation with these users.",
  input: (t) => ({ userIds: t.idList({ required: true, description: "The other participants, 1 to 8." }) }),
  resolve: async ({ userIds }, ctx) => ({
    room: await openDirectRoom(ctx.app, requireViewer(ctx), userIds.map((id) => findId("user", id))),
  }),
  fields: (t) => ({
    room: t.field({
      type: Room,
      nullable: true,
      description: "The conversation of exactly these users; made if there was none.",
      resolve: ({ room }) => room,
    }),
    roomEdge: t.field({
      type: RoomPages.edge,
      nullable: true,
      description: "Its edge in `viewer.rooms`.",
      resolve: ({ room }) => room && roomEdge(room),
    }),
  }),
});
