/** Attachments: files that people share in a room. */
import { dataloaderGetter } from "@pothos/plugin-dataloader";
import type { Context } from "../src/context.ts";
import { encodeId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import type { LiveEvent } from "../src/live/room_stream.ts";
import {
  type Attachment as AttachmentRow,
  type AttachmentStatus as Status,
  listAttachments,
  listAttachmentsOf,
  listEventAttachments,
  pageAttachments,
} from "../src/uploads/attachments.ts";
import type { MediaKind as Kind } from "../src/uploads/files.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { attachmentLink, Image } from "./images.ts";
import { Message } from "./messages.ts";
import { RoomEvent } from "./room_events.ts";
import { asMember, Room } from "./rooms.ts";
import { User } from "./users.ts";

export const MediaKind = builder.enumType("MediaKind", {
  description: "Coarse class of an attachment, for galleries and filters.",
  values: {
    IMAGE: { description: "An image." },
    VIDEO: { description: "A video." },
    AUDIO: { description: "An audio file." },
    OTHER: { description: "Anything else." },
  } satisfies Record<Kind, { description: string }>,
});

const AttachmentStatus = builder.enumType("AttachmentStatus", {
  description: "Processing state of an attachment.",
  values: {
    PROCESSING: { description: "Stored; the thumbnail is being made. `AttachmentProcessedEvent` follows." },
    READY: { description: "Ready." },
    FAILED: { description: "The file could not be processed; the original can still be downloaded." },
  } satisfies Record<Status, { description: string }>,
});

export const Attachment = builder.loadableObject("Attachment", {
  description: "A file shared in a room.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listAttachments(ctx.app, ids),
  toKey: ({ id }: AttachmentRow) => id,
  sort: true,
  cacheResolved: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("attachment", id) }),
    room: t.field({ type: Room, description: "The room.", resolve: ({ roomId }) => roomId }),
    uploader: t.field({ type: User, description: "Who uploaded it.", resolve: ({ uploaderId }) => uploaderId }),
    message: t.field({
      type: Message,
      nullable: true,
      description: "The message it is on; `null` until it is sent.",
      resolve: ({ messageId }) => messageId,
    }),
    filename: t.exposeString("filename", { description: "File name, without a path." }),
    mediaType: t.exposeString("mediaType", {
      description: "Media type found by inspecting the content, e.g. `image/png`.",
    }),
    mediaKind: t.expose("mediaKind", { type: MediaKind, description: "Coarse class." }),
    byteSize: t.exposeInt("byteSize", { description: "Size in bytes." }),
    url: t.field({
      type: "URL",
      description:
        "Signed URL of the original, for the viewer alone: valid for 5 minutes, and only as long as the viewer may see the\n" +
        "file. Ask for it again when it is over.",
      resolve: (attachment, _args, ctx, info) => attachmentLink({ attachment, size: "ORIGINAL" }, {}, ctx, info),
    }),
    image: t.field({
      type: Image,
      nullable: true,
      description: "Dimensions, renditions and placeholder of an image; `null` for other files and while processing.",
      resolve: (attachment) => attachment.width === null ? null : { attachment },
    }),
    status: t.expose("status", { type: AttachmentStatus, description: "Processing state." }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was uploaded." }),
  }),
});

const AttachmentPages = pageTypes(Attachment, "Attachment", "attachment", "attachments");

builder.objectField(Room, "attachments", (t) =>
  t.field({
    type: AttachmentPages.connection,
    nullable: true,
    description: "Files shared in the room, newest first.",
    args: {
      mediaKinds: t.arg({ type: [MediaKind], description: "Only these kinds; default all." }),
      ...pageArgs(30),
    },
    complexity: pageComplexity,
    resolve: (room, { mediaKinds, ...page }, ctx) =>
      asMember(ctx, room, (member) => pageAttachments(ctx.app, member, { mediaKinds, page: parsePage(page) })),
  }));

const filesOfMessages = dataloaderGetter<string, AttachmentRow[], string>(
  undefined,
  (ids, ctx) => listAttachmentsOf((ctx as Context).app, ids),
  undefined,
  false,
);

builder.objectField(Message, "attachments", (t) =>
  t.field({
    type: [Attachment],
    description: "Files, in the author's order.",
    resolve: ({ id, attachmentCount }, _args, ctx) => attachmentCount > 0 ? filesOfMessages(ctx).load(id) : [],
  }));

builder.objectField(
  builder.objectRef<LiveEvent>("AttachmentProcessedEvent").implement({
    description: "A file was processed: its `image` and `status` are set.",
    interfaces: [RoomEvent],
    fields: (t) => ({
      actor: t.field({
        type: User,
        nullable: true,
        description: "Who uploaded it.",
        resolve: ({ actorId }) => actorId,
      }),
    }),
  }),
  "attachment",
  (t) =>
    t.loadable({
      type: Attachment,
      description: "The attachment.",
      load: (events: LiveEvent[], ctx) => listEventAttachments(ctx.app, events),
      resolve: (event) => event,
    }),
);
