/** Live events of one viewer. Each carries ids; what they name is read when the event goes out. */
import { requireViewer } from "../src/context.ts";
import { encodeId } from "../src/lib/ids.ts";
import { encodeViewerCursor } from "../src/lib/viewer_cursors.ts";
import { followViewer, type LiveViewerEvent, type ViewerBatch } from "../src/live/viewer_stream.ts";
import type { RemovalReason as Reason } from "../src/rooms/events.ts";
import { Announcement, announcementEdge, AnnouncementPages } from "./announcements.ts";
import { builder, type SchemaTypes } from "./builder.ts";
import { inviteEdge, RoomInvite, RoomInvitePages } from "./invites.ts";
import { Notification, notificationEdge, NotificationPages } from "./notifications.ts";
import { RemovalReason } from "./room_events.ts";
import { loadRoomEdge, Room, RoomPages } from "./rooms.ts";
import { ScheduledMessage } from "./scheduled_messages.ts";
import { Viewer } from "./users.ts";

const TYPE_NAMES: Readonly<Record<LiveViewerEvent["kind"], string>> = {
  ROOM_ACTIVITY: "RoomActivityEvent",
  ROOM_ADDED: "RoomAddedEvent",
  ROOM_REMOVED: "RoomRemovedEvent",
  INVITE_UPDATED: "InviteUpdatedEvent",
  NOTIFICATION_CREATED: "NotificationCreatedEvent",
  ANNOUNCEMENT_PUBLISHED: "AnnouncementPublishedEvent",
  ANNOUNCEMENT_RETRACTED: "AnnouncementRetractedEvent",
  SCHEDULED_MESSAGE_UPDATED: "ScheduledMessageUpdatedEvent",
  VIEWER_UPDATED: "ViewerUpdatedEvent",
  RESYNC: "ViewerResyncEvent",
};

type Fields = PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, LiveViewerEvent>;

const ViewerEvent = builder.interfaceRef<LiveViewerEvent>("ViewerEvent").implement({
  description: "Something that concerns the viewer in any room or outside of rooms. Same guarantees as `RoomEvent`.",
  resolveType: ({ kind }) => TYPE_NAMES[kind],
  fields: (t) => ({
    cursor: t.exposeString("cursor", {
      nullable: false,
      description: "Position of the event; pass the last one seen to `viewerEvents(after:)` to resume.",
    }),
    occurredAt: t.expose("createdAt", { type: "DateTime", description: "When it happened." }),
  }),
});

const event = (name: string, description: string) =>
  builder.objectRef<LiveViewerEvent>(name).implement({ description, interfaces: [ViewerEvent] });

const viewerField = (t: Fields, description: string) =>
  t.field({ type: Viewer, description, resolve: ({ userId }) => userId });

builder.objectFields(
  event(
    "RoomActivityEvent",
    "A joined room has news: new last message, unread counts or title. Coalesced to at most one per room and second.",
  ),
  (t) => ({
    room: t.field({
      type: Room,
      description: "The room; select what the room list shows.",
      resolve: ({ subjectId }) => subjectId,
    }),
    viewer: viewerField(t, "The viewer, with the new totals."),
  }),
);

builder.objectFields(
  event(
    "RoomAddedEvent",
    "The viewer joined a room, on this or another device, or a direct conversation was opened.",
  ),
  (t) => ({
    room: t.field({ type: Room, description: "The room.", resolve: ({ subjectId }) => subjectId }),
    roomEdge: t.field({
      type: RoomPages.edge,
      description: "Its edge in `viewer.rooms`.",
      resolve: ({ subjectId }, _args, ctx) => loadRoomEdge(ctx, subjectId),
    }),
  }),
);

builder.objectFields(event("RoomRemovedEvent", "The viewer is no longer in a room."), (t) => ({
  removedRoomId: t.id({ description: "Id of the room.", resolve: ({ subjectId }) => encodeId("room", subjectId) }),
  reason: t.field({
    type: RemovalReason,
    description: "Why.",
    resolve: ({ data }) => (data?.reason ?? "LEFT") as Reason,
  }),
  note: t.string({
    nullable: true,
    description: "What the moderator gave as the reason of a kick or ban.",
    resolve: ({ data }) => data?.note ?? null,
  }),
}));

builder.objectFields(event("InviteUpdatedEvent", "An invite was received, answered or taken back."), (t) => ({
  invite: t.field({
    type: RoomInvite,
    description: "The invite; look at `status`.",
    resolve: ({ subjectId }) => subjectId,
  }),
  inviteEdge: t.field({
    type: RoomInvitePages.edge,
    description: "Its edge in `viewer.invites`.",
    resolve: async ({ subjectId }, _args, ctx) => inviteEdge(await RoomInvite.getDataloader(ctx).load(subjectId)),
  }),
}));

builder.objectFields(event("NotificationCreatedEvent", "A notification was created."), (t) => ({
  notification: t.field({
    type: Notification,
    description: "The notification.",
    resolve: ({ subjectId }) => subjectId,
  }),
  notificationEdge: t.field({
    type: NotificationPages.edge,
    description: "Its edge in `viewer.notifications`.",
    resolve: async ({ subjectId }, _args, ctx) =>
      notificationEdge(await Notification.getDataloader(ctx).load(subjectId)),
  }),
  viewer: viewerField(t, "The viewer, with the new count."),
}));

type Published = LiveViewerEvent & Required<Pick<LiveViewerEvent, "announcement">>;

builder.objectFields(
  builder.objectRef<Published>("AnnouncementPublishedEvent").implement({
    description: "An announcement was published for the viewer.",
    interfaces: [ViewerEvent],
  }),
  (t) => ({
    announcement: t.field({
      type: Announcement,
      description: "The announcement.",
      resolve: ({ announcement }) => announcement,
    }),
    announcementEdge: t.field({
      type: AnnouncementPages.edge,
      description: "Its edge in `announcements`.",
      resolve: ({ announcement }) => announcementEdge(announcement),
    }),
  }),
);

builder.objectFields(event("AnnouncementRetractedEvent", "An announcement was taken back."), (t) => ({
  deletedAnnouncementId: t.id({
    description: "Id of the announcement.",
    resolve: ({ subjectId }) => encodeId("announcement", subjectId),
  }),
}));

builder.objectFields(
  event("ScheduledMessageUpdatedEvent", "A scheduled message was made, changed, sent, canceled or failed."),
  (t) => ({
    scheduledMessage: t.field({
      type: ScheduledMessage,
      description: "The scheduled message; look at `status`.",
      resolve: ({ subjectId }) => subjectId,
    }),
  }),
);

builder.objectFields(
  event("ViewerUpdatedEvent", "The profile, settings or counters of the viewer changed, e.g. on another device."),
  (t) => ({ viewer: viewerField(t, "The viewer.") }),
);

builder.objectFields(
  event(
    "ViewerResyncEvent",
    "The cursor given in `after` is older than the event log. Refetch the viewer, then go on with this stream.",
  ),
  (t) => ({ cursor: t.exposeString("cursor", { description: "Position to go on from." }) }),
);

const ViewerEventBatch = builder.objectRef<ViewerBatch>("ViewerEventBatch").implement({
  description: "One delivery of `viewerEvents`. The first batch comes at once, even if it is empty.",
  fields: (t) => ({
    cursor: t.exposeString("cursor", {
      description: "Position after the last event of the batch; pass it to `viewerEvents(after:)` to resume.",
    }),
    events: t.field({
      type: [ViewerEvent],
      description: "The events, oldest first.",
      resolve: ({ events }) => [...events],
    }),
  }),
});

builder.objectField(Viewer, "eventCursor", (t) =>
  t.string({
    description:
      "Position in the viewer's event log now; pass it to `viewerEvents(after:)` so that nothing is lost in between.",
    // Read with the row of the viewer, and so before everything below it.
    resolve: encodeViewerCursor,
  }));

builder.subscriptionField("viewerEvents", (t) =>
  t.field({
    type: ViewerEventBatch,
    description: "Room list, invites, notifications, announcements and other news for the viewer.",
    args: {
      after: t.arg.string({
        description: "Last `cursor` seen, or `viewer.eventCursor` of the query that filled the screen.",
      }),
    },
    subscribe: (_root, { after }, ctx): Promise<AsyncIterable<ViewerBatch>> =>
      followViewer(ctx.app, requireViewer(ctx), after),
    resolve: (batch) => batch,
  }));
