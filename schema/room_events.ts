/** Live events of a room. Each carries ids in the log; what they name is read when the event goes out. */
import { requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from "../src/lib/pages.ts";
import { followRoom } from "../src/live/follow.ts";
import type { RoomBatch } from "../src/live/fanout.ts";
import { pollRoom, WAIT_SECONDS_MAX } from "../src/live/polling.ts";
import type { LiveEvent } from "../src/live/room_stream.ts";
import { pinCursor } from "../src/messages/pins.ts";
import type { RemovalReason as Reason } from "../src/rooms/events.ts";
import { listEventMembers, memberCursor } from "../src/rooms/members.ts";
import { builder, pageComplexity, type SchemaTypes } from "./builder.ts";
import { Message, MessagePages } from "./messages.ts";
import { RoomMember, RoomMemberPages } from "./members.ts";
import { forgetLoaded } from "./mutations.ts";
import { asMember, Room } from "./rooms.ts";
import { User } from "./users.ts";

/** Events of a usual batch of a stream. */
const LIVE_BATCH_COMPLEXITY = 10;
/** Each poll holds its room for itself: a few statements that are not shared with the other rooms of a list. */
const POLL_COMPLEXITY = 100;

const TYPE_NAMES: Readonly<Record<LiveEvent["kind"], string>> = {
  MESSAGE_SENT: "MessageSentEvent",
  MESSAGE_EDITED: "MessageEditedEvent",
  MESSAGE_DELETED: "MessageDeletedEvent",
  MESSAGE_PINNED: "MessagePinnedEvent",
  MESSAGE_UNPINNED: "MessageUnpinnedEvent",
  REACTION_ADDED: "ReactionAddedEvent",
  REACTION_REMOVED: "ReactionRemovedEvent",
  MEMBER_JOINED: "MemberJoinedEvent",
  MEMBER_REMOVED: "MemberRemovedEvent",
  MEMBER_UPDATED: "MemberUpdatedEvent",
  MEMBER_READ: "MemberReadEvent",
  ATTACHMENT_PROCESSED: "AttachmentProcessedEvent",
  ROOM_UPDATED: "RoomUpdatedEvent",
  RESYNC: "RoomResyncEvent",
};

export const RoomEvent = builder.interfaceRef<LiveEvent>("RoomEvent").implement({
  description:
    "Something that happened in a room. Events come in order, without gaps, at least once; apply them by object id.",
  resolveType: ({ kind }) => TYPE_NAMES[kind],
  fields: (t) => ({
    cursor: t.exposeString("cursor", {
      description: "Position of the event; pass the last one seen to `roomEvents(after:)` to resume.",
    }),
    occurredAt: t.expose("createdAt", { type: "DateTime", description: "When it happened." }),
    room: t.field({ type: Room, description: "The room.", resolve: ({ roomId }) => roomId }),
    actor: t.field({
      type: User,
      nullable: true,
      description: "Who did it; `null` for the server.",
      resolve: ({ actorId }) => actorId,
    }),
  }),
});

const event = (name: string, description: string) =>
  builder.objectRef<LiveEvent>(name).implement({ description, interfaces: [RoomEvent] });

const countedRoom = (t: PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, LiveEvent>) =>
  t.field({ type: Room, description: "The room, with the new `memberCount`.", resolve: ({ roomId }) => roomId });

builder.objectFields(event("MessageSentEvent", "A message was sent."), (t) => ({
  message: t.field({ type: Message, description: "The message.", resolve: ({ subjectId }) => subjectId }),
  messageEdge: t.field({
    type: MessagePages.edge,
    description: "Its edge in `room.messages`, or in `message.threadRoot.replies` if it is in a thread.",
    resolve: async ({ cursor, subjectId }, _args, ctx) => ({
      cursor,
      node: await Message.getDataloader(ctx).load(subjectId),
    }),
  }),
}));

const messageEvent = (name: string, description: string, about = "The message.") => {
  const ref = event(name, description);
  builder.objectField(
    ref,
    "message",
    (t) => t.field({ type: Message, description: about, resolve: ({ subjectId }) => subjectId }),
  );
  return ref;
};

messageEvent("MessageEditedEvent", "A message was edited.");
messageEvent("MessageDeletedEvent", "A message was deleted; it is a tombstone now.", "The tombstone.");
messageEvent("MessageUnpinnedEvent", "A message was unpinned.");

builder.objectField(messageEvent("MessagePinnedEvent", "A message was pinned."), "messageEdge", (t) =>
  t.field({
    type: MessagePages.edge,
    description: "Its edge in `room.pinnedMessages`.",
    resolve: async ({ subjectId: id, createdAt: pinnedAt }, _args, ctx) => ({
      cursor: pinCursor({ id, pinnedAt }),
      node: await Message.getDataloader(ctx).load(id),
    }),
  }));

for (const [name, done] of [["ReactionAddedEvent", "added"], ["ReactionRemovedEvent", "removed"]] as const) {
  const ref = messageEvent(name, `A reaction was ${done}.`, "The message, with the new `reactionGroups`.");
  builder.objectField(
    ref,
    "emoji",
    (t) => t.string({ description: "The emoji.", resolve: ({ data }) => data?.emoji ?? "" }),
  );
}

builder.objectFields(event("MemberJoinedEvent", "Someone joined."), (t) => ({
  room: countedRoom(t),
  member: t.loadable({
    type: RoomMember,
    description: "The new member.",
    load: (events: LiveEvent[], ctx) => listEventMembers(ctx.app, events),
    resolve: (joined) => joined,
  }),
  memberEdge: t.loadable({
    type: RoomMemberPages.edge,
    description: "Its edge in `room.members`.",
    load: async (events: LiveEvent[], ctx) =>
      (await listEventMembers(ctx.app, events)).map((node) => ({ cursor: memberCursor(node), node })),
    resolve: (joined) => joined,
  }),
}));

export const RemovalReason = builder.enumType("RemovalReason", {
  description: "Why a user is no longer a member.",
  values: {
    LEFT: { description: "Left by choice." },
    KICKED: { description: "Kicked by a moderator." },
    BANNED: { description: "Banned by a moderator." },
    ROOM_DELETED: { description: "The room was deleted." },
  } satisfies Record<Reason, { description: string }>,
});

builder.objectFields(
  event(
    "MemberRemovedEvent",
    "Someone left or was removed. If it was the viewer, the stream completes after this event.",
  ),
  (t) => ({
    room: countedRoom(t),
    removedMemberId: t.id({
      description: "Id of the membership that ended.",
      resolve: ({ data }) => encodeId("member", data?.memberId ?? ""),
    }),
    user: t.field({
      type: User,
      description: "The user who is no longer a member.",
      resolve: ({ subjectId }) => subjectId,
    }),
    reason: t.field({ type: RemovalReason, description: "Why.", resolve: ({ data }) => data?.reason ?? "LEFT" }),
  }),
);

for (
  const [name, description, about] of [
    ["MemberUpdatedEvent", "The role or the mute of a member changed.", "The member."],
    [
      "MemberReadEvent",
      "A member read up to a message (read receipt); at most one per member and second.",
      "The member, with the new `lastReadMessage`.",
    ],
  ] as const
) {
  builder.objectField(event(name, description), "member", (t) =>
    t.loadable({
      type: RoomMember,
      description: about,
      load: (events: LiveEvent[], ctx) => listEventMembers(ctx.app, events),
      resolve: (changed) => changed,
    }));
}

event("RoomUpdatedEvent", "Name, topic, icon, kind or settings of the room changed.");

builder.objectFields(
  event(
    "RoomResyncEvent",
    "The cursor given in `after` is older than the event log. Refetch the room, then go on with this stream.",
  ),
  (t) => ({
    cursor: t.exposeString("cursor", { description: "Position to go on from." }),
    actor: t.field({ type: User, nullable: true, description: "Always `null`.", resolve: () => null }),
  }),
);

const RoomEventBatch = builder.objectRef<RoomBatch>("RoomEventBatch").implement({
  description:
    "One delivery of `roomEvents`: usually one event, more while catching up or when a room is busy, none in the first\n" +
    "batch of a stream that has nothing to catch up.",
  fields: (t) => ({
    cursor: t.exposeString("cursor", {
      description: "Position after the last event of the batch; pass it to `roomEvents(after:)` to resume.",
    }),
    events: t.field({
      type: [RoomEvent],
      description: "The events, oldest first.",
      complexity: { field: 1, multiplier: 1 }, // counted by who asks for the batch
      resolve: ({ events }) => [...events],
    }),
  }),
});

builder.subscriptionField("roomEvents", (t) =>
  t.field({
    type: RoomEventBatch,
    description:
      "Everything that lasts in one room, in order, without gaps and without duplicates: first what happened after `after`\n" +
      "(nothing if it is left out), then live. The first batch always comes at once, even if it is empty: it says\n" +
      "that the stream is live and from which position.",
    complexity: { field: 1, multiplier: LIVE_BATCH_COMPLEXITY },
    args: {
      roomId: t.arg.id({ required: true, description: "Room to follow." }),
      after: t.arg.string({
        description: "Last `cursor` seen, or `room.eventCursor` of the query that filled the screen.",
      }),
    },
    subscribe: (_root, { roomId, after }, ctx): Promise<AsyncIterable<RoomBatch>> =>
      followRoom(ctx.app, requireViewer(ctx), { roomId: findId("room", roomId), after }),
    resolve: (batch) => batch,
  }));

builder.objectField(Room, "events", (t) =>
  t.field({
    type: RoomEventBatch,
    nullable: true,
    description:
      "The log without a stream, for scripts and for networks that let neither WebSocket nor SSE through: what happened\n" +
      "after `after`, on the same cursors as `roomEvents` and by the same rules. Empty where nothing did; without `after`\n" +
      "it says where the log ends now. After the viewer's own removal it is `null`, as for everyone who is not in.",
    args: {
      after: t.arg.string({
        description: "Last `cursor` seen, or `room.eventCursor` of the query that filled the screen.",
      }),
      first: t.arg.int({ defaultValue: PAGE_SIZE_DEFAULT, description: `Events at most, up to ${PAGE_SIZE_MAX}.` }),
      waitSeconds: t.arg.int({
        defaultValue: 0,
        description:
          `How long to wait while there is nothing, up to ${WAIT_SECONDS_MAX}; the answer comes as soon as there is something.`,
      }),
    },
    complexity: ({ first }) => ({ ...pageComplexity({ first }), field: POLL_COMPLEXITY }),
    resolve: (room, args, ctx) =>
      asMember(ctx, room, async ({ roomId }) => {
        const batch = await pollRoom(ctx.app, requireViewer(ctx), { ...args, roomId, signal: ctx.signal });
        forgetLoaded(ctx); // events are answered with what they changed, however long they were waited for
        return batch;
      }),
  }));
