/** Messages: reading the past of a room, writing, editing and deleting. */
import { dataloaderGetter } from "@pothos/plugin-dataloader";
import { type Context, requireViewer } from "../src/context.ts";
import { encodeEventCursor } from "../src/lib/event_cursors.ts";
import { encodeId, findId, findOptionalId } from "../src/lib/ids.ts";
import { deleteMessage, editMessage } from "../src/messages/edit.ts";
import { pageMessages } from "../src/messages/history.ts";
import { listMentionedUsers } from "../src/messages/mentions.ts";
import {
  canDelete,
  canEdit,
  listLastMessages,
  listMessages,
  type Message as MessageRow,
} from "../src/messages/messages.ts";
import { listResponses, type Responses } from "../src/messages/responses.ts";
import { sendMessage } from "../src/messages/send.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes, viewerSlot } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { asMember, requireKey, Room } from "./rooms.ts";
import { User } from "./users.ts";

/** A text weighs as much as so many small fields: an answer is bounded in bytes too. */
const CONTENT_COMPLEXITY = 20;

export const Message = builder.loadableObject("Message", {
  description: "A message. A deleted message stays as a tombstone with `deletedAt`, so lists and cursors never shift.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listMessages(ctx.app, ids),
  toKey: ({ id }: MessageRow) => id,
  sort: true,
  cacheResolved: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("message", id) }),
    room: t.field({ type: Room, description: "The room.", resolve: ({ roomId }) => roomId }),
    author: t.field({ type: User, description: "Who wrote it.", resolve: ({ authorId }) => authorId }),
    content: t.exposeString("content", {
      nullable: true,
      description: "Markdown text; `null` once deleted.",
      complexity: CONTENT_COMPLEXITY,
    }),
    clientMessageId: t.string({
      nullable: true,
      description:
        "The id that the author's client chose; `null` for everyone but the author. Match it with the optimistic copy.",
      resolve: viewerSlot(
        null,
        (message, { userId }): string | null => userId === message.authorId ? message.clientMessageId : null,
      ),
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When the server accepted it." }),
    editedAt: t.expose("editedAt", { type: "DateTime", nullable: true, description: "When it was last edited." }),
    deletedAt: t.expose("deletedAt", { type: "DateTime", nullable: true, description: "When it was deleted." }),
    mentionedUsers: t.loadableList({
      type: User,
      description: "Mentioned users.",
      load: (messageIds: string[], ctx) => listMentionedUsers(ctx.app, messageIds),
      resolve: ({ id }) => id,
    }),
    mentionsEveryone: t.exposeBoolean("mentionsEveryone", {
      description: "Whether everyone in the room is mentioned.",
    }),
    viewerCanEdit: t.boolean({
      description: "Whether the viewer may edit it now.",
      resolve: viewerSlot(false, canEdit, ({ roomId }) => ({ roomId })),
    }),
    viewerCanDelete: t.boolean({
      description: "Whether the viewer may delete it now.",
      resolve: viewerSlot(false, canDelete, ({ roomId }) => ({ roomId })),
    }),
  }),
});

/** What messages have drawn: one statement for all that is asked about replies and reactions. */
export const responseLoader = dataloaderGetter<string, Responses, string>(
  undefined,
  (ids, ctx) => listResponses((ctx as Context).app, ids),
  undefined,
  false,
);

export const MessagePages = pageTypes(Message, "Message", "message", "messages");

builder.objectFields(Room, (t) => ({
  lastMessage: t.loadable({
    type: Message,
    nullable: true,
    description: "The newest message in the main timeline.",
    load: (roomIds: string[], ctx) => listLastMessages(ctx.app, roomIds),
    resolve: (room, _args, ctx) => asMember(ctx, room, ({ roomId }) => roomId),
  }),
  messages: t.field({
    type: MessagePages.connection,
    nullable: true,
    description:
      "Main timeline, always oldest to newest. Without arguments: the newest 50. `last` + `before` loads older,\n" +
      "`first` + `after` newer. With `around`, `last` messages up to and `first` messages after the given one.",
    args: {
      around: t.arg.id({
        description: 'Message to center the page on; the page is a list of its own for caches (`keyArgs: ["around"]`).',
      }),
      ...pageArgs(),
    },
    complexity: ({ around, first, last, ...page }) =>
      around
        ? { field: 1, multiplier: pageComplexity({ first }).multiplier + pageComplexity({ last }).multiplier }
        : pageComplexity({ first, last, ...page }),
    resolve: (room, { around, ...page }, ctx) =>
      asMember(
        ctx,
        room,
        (member) =>
          pageMessages(ctx.app, member, {
            ...page,
            around: findOptionalId("message", around),
          }),
      ),
  }),
}));

mutation("sendMessage", {
  description: "Sends a message. Safe to retry with the same `clientMessageId`.",
  about: ". `content` or `attachmentIds` must be given",
  input: (t) => ({
    roomId: t.id({ required: true, description: "Room." }),
    content: t.string({ description: "Markdown text. `@username` mentions a user and `@everyone` the room." }),
    attachmentIds: t.idList({ description: "Uploaded files of the viewer in this room." }),
    replyToId: t.id({ description: "Message to quote." }),
    threadRootId: t.id({ description: "Message that starts the thread to write in." }),
    clientMessageId: t.string({
      description:
        "Id chosen by the client (1 to 64 characters, a UUID is best), unique per author. Sending again with the same\n" +
        "id returns the first message instead of a second one, so retries after a lost response are safe.",
    }),
  }),
  resolve: async ({ roomId, ...input }, ctx) => {
    const member = await requireKey(ctx, roomId);
    const replyToId = findOptionalId("message", input.replyToId);
    const threadRootId = findOptionalId("message", input.threadRootId);
    const attachmentIds = input.attachmentIds?.map((id) => findId("attachment", id));
    const message = await sendMessage(ctx.app, member, { ...input, attachmentIds, replyToId, threadRootId });
    return { message, epoch: member.epoch };
  },
  fields: (t) => ({
    message: t.field({ type: Message, nullable: true, description: "The message.", resolve: ({ message }) => message }),
    messageEdge: t.field({
      type: MessagePages.edge,
      nullable: true,
      description: "Its edge in `room.messages` or in `threadRoot.replies`.",
      resolve: ({ message, epoch }) =>
        message && epoch ? { cursor: encodeEventCursor(epoch, message.seq), node: message } : null,
    }),
    room: t.field({
      type: Room,
      nullable: true,
      description: "The room, with the new `lastMessage` and `lastActivityAt`.",
      resolve: ({ message }) => message?.roomId,
    }),
  }),
});

mutation("editMessage", {
  description: "Edits the viewer's message.",
  input: (t) => ({
    messageId: t.id({ required: true, description: "Message." }),
    content: t.string({ required: true, description: "New text." }),
  }),
  resolve: async ({ messageId, content }, ctx) => ({
    message: await editMessage(ctx.app, requireViewer(ctx), { messageId: findId("message", messageId), content }),
  }),
  fields: (t) => ({
    message: t.field({
      type: Message,
      nullable: true,
      description: "The changed message.",
      resolve: ({ message }) => message,
    }),
  }),
});

mutation("deleteMessage", {
  description: "Deletes a message, leaving a tombstone.",
  result: "; deleting twice is not an error",
  input: (t) => ({ messageId: t.id({ required: true, description: "Message." }) }),
  resolve: async ({ messageId }, ctx) => ({
    message: await deleteMessage(ctx.app, requireViewer(ctx), findId("message", messageId)),
  }),
  fields: (t) => ({
    message: t.field({
      type: Message,
      nullable: true,
      description: "The tombstone.",
      resolve: ({ message }) => message,
    }),
  }),
});
