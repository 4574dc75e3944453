/** Notifications: what asks for the viewer's attention. */
import { brandWithType, type ObjectParam } from "@pothos/core";
import { type Context, requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { listSubjectMessages } from "../src/messages/messages.ts";
import { listVisibleInvites } from "../src/rooms/invites.ts";
import {
  countUnreadNotifications,
  listNotifications,
  markNotificationsRead,
  type Notification as NotificationRow,
  notificationCursor,
  type NotificationKind as Kind,
  pageNotifications,
} from "../src/users/notifications.ts";
import { listVisibleAnnouncements } from "../src/users/announcements.ts";
import { Announcement } from "./announcements.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes, type SchemaTypes } from "./builder.ts";
import { RoomInvite } from "./invites.ts";
import { Message } from "./messages.ts";
import { mutation } from "./mutations.ts";
import { User, Viewer } from "./users.ts";

const NotificationKind = builder.enumType("NotificationKind", {
  description: "Kind of a notification.",
  values: {
    MENTION: { description: "The viewer was mentioned." },
    REPLY: { description: "Someone replied to the viewer." },
    REACTION: { description: "Someone reacted to the viewer's message." },
    INVITE: { description: "The viewer was invited to a room." },
    ANNOUNCEMENT: { description: "A message from the operators." },
  } satisfies Record<Kind, { description: string }>,
});

interface Subject {
  readonly type: ObjectParam<SchemaTypes>;
  idOf(notification: NotificationRow): string | null;
  /** Those of the objects that are there and that the viewer may see. */
  find(ctx: Context, ids: readonly string[]): Promise<readonly { readonly id: string }[]>;
}

/** What notifications may be about. */
const SUBJECTS: readonly Subject[] = [
  {
    type: Message,
    idOf: ({ messageId }) => messageId,
    find: async (ctx, ids) => await listSubjectMessages(ctx.app, requireViewer(ctx), ids),
  },
  {
    type: RoomInvite,
    idOf: ({ inviteId }) => inviteId,
    find: async (ctx, ids) => await listVisibleInvites(ctx.app, requireViewer(ctx), ids),
  },
  {
    type: Announcement,
    idOf: ({ announcementId }) => announcementId,
    find: async (ctx, ids) => await listVisibleAnnouncements(ctx.app, requireViewer(ctx).userId, ids),
  },
];

const NotificationSubject = builder.unionType("NotificationSubject", {
  description: "What a notification is about.",
  types: SUBJECTS.map(({ type }) => type),
});

export const Notification = builder.loadableObject("Notification", {
  description: "Something that asks for the viewer's attention.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listNotifications(ctx.app, requireViewer(ctx).userId, ids),
  toKey: ({ id }: NotificationRow) => id,
  sort: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("notification", id) }),
    kind: t.expose("kind", { type: NotificationKind, description: "Kind." }),
    actor: t.field({
      type: User,
      nullable: true,
      description: "Who caused it.",
      resolve: ({ actorId }) => actorId,
    }),
    subject: t.loadable({
      type: NotificationSubject,
      nullable: true,
      description: "What it is about; `null` once that is gone.",
      load: (notifications: NotificationRow[], ctx) => loadSubjects(ctx, notifications),
      resolve: (notification) => notification,
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was created." }),
    readAt: t.expose("readAt", { type: "DateTime", nullable: true, description: "When the viewer read it." }),
  }),
});

export const NotificationPages = pageTypes(Notification, "Notification", "notification", "notifications");

/** The edge of a notification in `viewer.notifications`. */
export const notificationEdge = (node: NotificationRow) => ({ cursor: notificationCursor(node), node });

builder.objectFields(Viewer, (t) => ({
  unreadNotificationCount: t.loadable({
    type: "Int",
    description: "Unread notifications.",
    load: (userIds: string[], ctx) => Promise.all(userIds.map((userId) => countUnreadNotifications(ctx.app, userId))),
    resolve: ({ id }) => id,
  }),
  notifications: t.field({
    type: NotificationPages.connection,
    description: "Mentions, replies, invites and announcements, newest first.",
    args: {
      unreadOnly: t.arg.boolean({
        required: true,
        defaultValue: false,
        description: "Only those that the viewer has not read.",
      }),
      ...pageArgs(20),
    },
    complexity: pageComplexity,
    resolve: ({ id }, { unreadOnly, ...page }, ctx) =>
      pageNotifications(ctx.app, id, { unreadOnly, page: parsePage(page) }),
  }),
}));

mutation("markNotificationsRead", {
  description: "Marks notifications as read.",
  input: (t) => ({ notificationIds: t.idList({ description: "Notifications; default all." }) }),
  resolve: async ({ notificationIds }, ctx) => {
    const { userId } = requireViewer(ctx);
    const ids = notificationIds?.map((id) => findId("notification", id)) ?? null;
    return { userId, notifications: await markNotificationsRead(ctx.app, userId, ids) };
  },
  fields: (t) => ({
    viewer: t.field({
      type: Viewer,
      nullable: true,
      description: "The viewer, with the new count.",
      resolve: ({ userId }) => userId,
    }),
    notifications: t.field({
      type: [Notification],
      nullable: true,
      description: "The changed notifications, up to 100.",
      resolve: ({ notifications }) => notifications && [...notifications],
    }),
  }),
});

async function loadSubjects(ctx: Context, notifications: readonly NotificationRow[]) {
  const found = await Promise.all(SUBJECTS.map(async ({ type, idOf, find }) => {
    const ids = notifications.flatMap((each) => idOf(each) ?? []);
    const rows = ids.length === 0 ? [] : await find(ctx, ids);
    for (const row of rows) brandWithType(row, type);
    return rows;
  }));
  const rowsById = new Map(found.flat().map((row) => [row.id, row]));
  return notifications.map((each) => SUBJECTS.map(({ idOf }) => rowsById.get(idOf(each) ?? "")).find(Boolean) ?? null);
}
