/** Typing indicators: who types in a room, and telling it. */
import { requireViewer } from "../src/context.ts";
import { findId } from "../src/lib/ids.ts";
import type { TypingState } from "../src/live/typing.ts";
import { followTyping, setTyping } from "../src/live/typing_stream.ts";
import { builder } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { Room } from "./rooms.ts";
import { User } from "./users.ts";

builder.objectField(Room, "typingUsers", (t) =>
  t.field({
    type: [User],
    description: "Who is typing now, without the viewer; live through `roomTyping`.",
    resolve: async ({ id }, _args, ctx) => [...await ctx.typingIn(id)],
  }));

mutation("setTyping", {
  description: "Tells the room that the viewer is typing.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    isTyping: t.boolean({
      required: true,
      defaultValue: true,
      description:
        "`true` while typing; repeat it before `ServerLimits.typingTimeoutSeconds` is over. Sending a message clears it.",
    }),
  }),
  resolve: async ({ roomId, isTyping }, ctx) => ({
    expiresAt: await setTyping(ctx.app, requireViewer(ctx), { roomId: findId("room", roomId), isTyping }),
  }),
  fields: (t) => ({
    expiresAt: t.field({
      type: "DateTime",
      nullable: true,
      description: "When the indicator fades unless renewed; `null` if not typing.",
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
});

const RoomTypingUpdate = builder.objectRef<TypingState>("RoomTypingUpdate").implement({
  description: "Who is typing in a room changed.",
  fields: (t) => ({
    room: t.field({
      type: Room,
      description: "The room; select `id` and `typingUsers`.",
      resolve: ({ roomId }) => roomId,
    }),
  }),
});

builder.subscriptionField("roomTyping", (t) =>
  t.field({
    type: RoomTypingUpdate,
    description: "Typing indicators of one room.",
    args: { roomId: t.arg.id({ required: true, description: "Room to follow." }) },
    subscribe: (_root, { roomId }, ctx): Promise<AsyncIterable<TypingState>> =>
      followTyping(ctx.app, requireViewer(ctx), findId("room", roomId)),
    resolve: (state) => state,
  }));
