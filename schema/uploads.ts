/** Files and pictures as they are shown. Nobody can upload yet: there are no pictures, and no message has a file. */
import { encodeId } from "../src/lib/ids.ts";
import { EMPTY_PAGE, parsePage } from "../src/lib/pages.ts";
import type { LiveEvent } from "../src/live/room_stream.ts";
import type { MediaKind as Kind } from "../src/messages/search.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { Message } from "./messages.ts";
import { RoomEvent } from "./room_events.ts";
import { asMember, Room } from "./rooms.ts";
import { User } from "./users.ts";

type Size = "SMALL" | "MEDIUM" | "LARGE" | "ORIGINAL";

interface ImageRow {
  readonly urls: Readonly<Record<Size, string>>;
  /** Pixels of the original. */
  readonly width: number;
  readonly height: number;
  readonly thumbhash: string | null;
  readonly alt: string | null;
}

interface AttachmentRow {
  readonly id: string;
  readonly roomId: string;
  readonly uploaderId: string;
  readonly messageId: string | null;
  readonly filename: string;
  readonly mediaType: string;
  readonly mediaKind: Kind;
  readonly byteSize: number;
  readonly url: string;
  readonly image: ImageRow | null;
  readonly status: "PROCESSING" | "READY" | "FAILED";
  readonly createdAt: Date;
}

const ImageSize = builder.enumType("ImageSize", {
  description: "Rendition of an image.",
  values: {
    SMALL: { description: "Fits 64 x 64." },
    MEDIUM: { description: "Fits 256 x 256." },
    LARGE: { description: "Fits 1024 x 1024." },
    ORIGINAL: { description: "As uploaded, without metadata." },
  },
});

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
  },
});

const Image = builder.objectRef<ImageRow>("Image").implement({
  description: "An image with everything needed to lay it out before it has loaded.",
  fields: (t) => ({
    url: t.field({
      type: "URL",
      description: "URL of the rendition; it does not change for the same content, so it is safe to cache for ever.",
      args: {
        size: t.arg({ type: ImageSize, required: true, defaultValue: "ORIGINAL", description: "Rendition." }),
      },
      resolve: ({ urls }, { size }) => urls[size],
    }),
    width: t.exposeInt("width", { description: "Width of the original in pixels." }),
    height: t.exposeInt("height", { description: "Height of the original in pixels." }),
    thumbhash: t.exposeString("thumbhash", {
      nullable: true,
      description: "ThumbHash placeholder, about 28 bytes, base64.",
    }),
    alt: t.exposeString("alt", { nullable: true, description: "Alternative text." }),
  }),
});

export const Attachment = builder.objectRef<AttachmentRow>("Attachment").implement({
  description: "A file shared in a room.",
  interfaces: [Node],
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
    url: t.expose("url", { type: "URL", description: "Signed URL of the original; valid for at least one hour." }),
    image: t.expose("image", {
      type: Image,
      nullable: true,
      description: "Dimensions, renditions and placeholder of an image; `null` for other files and while processing.",
    }),
    status: t.expose("status", { type: AttachmentStatus, description: "Processing state." }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was uploaded." }),
  }),
});

const AttachmentPages = pageTypes(Attachment, "Attachment", "attachment", "attachments");

builder.objectField(
  User,
  "avatar",
  (t) => t.field({ type: Image, nullable: true, description: "Profile picture.", resolve: () => null }),
);

builder.objectFields(Room, (t) => ({
  icon: t.field({
    type: Image,
    nullable: true,
    description: "Picture of the room; for a one-to-one conversation the other user's avatar.",
    resolve: () => null,
  }),
  attachments: t.field({
    type: AttachmentPages.connection,
    nullable: true,
    description: "Files shared in the room, newest first.",
    args: {
      mediaKinds: t.arg({ type: [MediaKind], description: "Only these kinds; default all." }),
      ...pageArgs(30),
    },
    complexity: pageComplexity,
    resolve: (room, args, ctx) => asMember(ctx, room, () => parsePage(args) && EMPTY_PAGE),
  }),
}));

builder.objectField(Message, "attachments", (t) =>
  t.field({
    type: [Attachment],
    description: "Files, in the author's order.",
    resolve: () => [],
  }));

type ProcessedEvent = LiveEvent & { readonly attachment: AttachmentRow };

builder.objectField(
  builder.objectRef<ProcessedEvent>("AttachmentProcessedEvent").implement({
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
  (t) => t.expose("attachment", { type: Attachment, description: "The attachment." }),
);
