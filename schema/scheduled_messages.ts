/** Messages to be sent later. */
import { type Context, requireViewer } from "../src/context.ts";
import { encodeId, findId, findOptionalId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import {
  cancelScheduledMessage,
  listScheduledMessages,
  pageScheduledMessages,
  type ScheduledMessage as ScheduledMessageRow,
  scheduledMessageCursor,
  type ScheduledMessageStatus as Status,
  scheduleMessage,
  updateScheduledMessage,
} from "../src/messages/scheduled_messages.ts";
import { listVisibleMessages } from "../src/messages/messages.ts";
import { listScheduledAttachments } from "../src/uploads/attachments.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { ErrorCode } from "./errors.ts";
import { Message } from "./messages.ts";
import { mutation } from "./mutations.ts";
import { knownRoom, requireKey } from "./rooms.ts";
import { Attachment } from "./attachments.ts";
import { Viewer } from "./users.ts";

/** The author may have left the room since: then `null`. */
async function loadVisible(ids: string[], ctx: Context) {
  const messages = await listVisibleMessages(ctx.app, requireViewer(ctx), ids);
  return ids.map((wanted) => messages.find(({ id }) => id === wanted) ?? null);
}

const ScheduledMessageStatus = builder.enumType("ScheduledMessageStatus", {
  description: "State of a scheduled message.",
  values: {
    PENDING: { description: "Waiting for `sendAt`." },
    SENT: { description: "Sent; see `sentMessage`." },
    CANCELED: { description: "Canceled by its author." },
    FAILED: { description: "Could not be sent, e.g. the author left the room; see `failureReason`." },
  } satisfies Record<Status, { description: string }>,
});

export const ScheduledMessage = builder.loadableObject("ScheduledMessage", {
  description: "A message to be sent later.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listScheduledMessages(ctx.app, requireViewer(ctx), ids),
  toKey: ({ id }: ScheduledMessageRow) => id,
  sort: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("scheduled", id) }),
    room: knownRoom(t, "The room."),
    content: t.exposeString("content", { description: "Markdown text." }),
    replyTo: t.loadable({
      type: Message,
      nullable: true,
      description: "The quoted message.",
      load: loadVisible,
      resolve: ({ replyToId }) => replyToId,
    }),
    attachments: t.loadableList({
      type: Attachment,
      description: "Files to send.",
      load: (ids: string[], ctx) => listScheduledAttachments(ctx.app, ids),
      resolve: ({ id }) => id,
    }),
    sendAt: t.expose("sendAt", { type: "DateTime", description: "When to send it." }),
    status: t.expose("status", { type: ScheduledMessageStatus, description: "State." }),
    sentMessage: t.loadable({
      type: Message,
      nullable: true,
      description: "The message, once sent.",
      load: loadVisible,
      resolve: ({ sentMessageId }) => sentMessageId,
    }),
    failureReason: t.field({
      type: ErrorCode,
      nullable: true,
      description: "Why it failed.",
      resolve: ({ failureReason }) => failureReason,
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was scheduled." }),
  }),
});

const ScheduledMessagePages = pageTypes(
  ScheduledMessage,
  "ScheduledMessage",
  "scheduled message",
  "scheduled messages",
);

builder.objectField(Viewer, "scheduledMessages", (t) =>
  t.field({
    type: ScheduledMessagePages.connection,
    description: "The viewer's scheduled messages, next first.",
    args: { roomId: t.arg.id({ description: "Only of this room." }), ...pageArgs(20) },
    complexity: pageComplexity,
    resolve: (_viewer, { roomId, ...page }, ctx) =>
      pageScheduledMessages(ctx.app, requireViewer(ctx), {
        roomId: findOptionalId("room", roomId),
        page: parsePage(page),
      }),
  }));

mutation("scheduleMessage", {
  description: "Schedules a message.",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    content: t.string({ required: true, description: "Markdown text." }),
    sendAt: t.field({ type: "DateTime", required: true, description: "When to send it; up to 1 year ahead." }),
    replyToId: t.id({ description: "Message to quote." }),
    attachmentIds: t.idList({ description: "Uploaded files of the viewer in this room." }),
    clientMessageId: t.string({ description: "As in `sendMessage`." }),
  }),
  resolve: async ({ roomId, replyToId, ...input }, ctx) => {
    const member = await requireKey(ctx, roomId);
    const attachmentIds = input.attachmentIds?.map((id) => findId("attachment", id));
    const quoted = { replyToId: findOptionalId("message", replyToId) };
    return { scheduledMessage: await scheduleMessage(ctx.app, member, { ...input, attachmentIds, ...quoted }) };
  },
  fields: (t) => ({
    scheduledMessage: t.field({
      type: ScheduledMessage,
      nullable: true,
      description: "The scheduled message.",
      resolve: ({ scheduledMessage }) => scheduledMessage,
    }),
    scheduledMessageEdge: t.field({
      type: ScheduledMessagePages.edge,
      nullable: true,
      description: "Its edge in `viewer.scheduledMessages`.",
      resolve: ({ scheduledMessage }) =>
        scheduledMessage && { cursor: scheduledMessageCursor(scheduledMessage), node: scheduledMessage },
    }),
  }),
});

mutation("updateScheduledMessage", {
  description: "Changes a scheduled message.",
  about: "; fields left out stay as they are",
  input: (t) => ({
    scheduledMessageId: t.id({ required: true, description: "Scheduled message." }),
    content: t.string({ description: "Markdown text." }),
    sendAt: t.field({ type: "DateTime", description: "When to send it." }),
  }),
  resolve: async ({ scheduledMessageId, ...changes }, ctx) => ({
    scheduledMessage: await updateScheduledMessage(ctx.app, requireViewer(ctx), {
      ...changes,
      scheduledMessageId: findId("scheduled", scheduledMessageId),
    }),
  }),
  fields: (t) => ({
    scheduledMessage: t.field({
      type: ScheduledMessage,
      nullable: true,
      description: "The changed scheduled message.",
      resolve: ({ scheduledMessage }) => scheduledMessage,
    }),
  }),
});

mutation("cancelScheduledMessage", {
  description: "Cancels a scheduled message.",
  input: (t) => ({
    scheduledMessageId: t.id({ required: true, description: "Scheduled message." }),
  }),
  resolve: async ({ scheduledMessageId }, ctx) => ({
    scheduledMessage: await cancelScheduledMessage(
      ctx.app,
      requireViewer(ctx),
      findId("scheduled", scheduledMessageId),
    ),
  }),
  fields: (t) => ({
    scheduledMessage: t.field({
      type: ScheduledMessage,
      nullable: true,
      description: "The canceled scheduled message.",
      resolve: ({ scheduledMessage }) => scheduledMessage,
    }),
  }),
});
