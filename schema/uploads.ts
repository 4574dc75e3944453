/** Files and pictures: uploading, showing and deleting them. */
import { dataloaderGetter } from "@pothos/plugin-dataloader";
import { type Context, requireViewer } from "../src/context.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import type { LiveEvent } from "../src/live/room_stream.ts";
import { deleteAttachment } from "../src/messages/attachment_deletion.ts";
import { avatarOfOther } from "../src/rooms/direct_rooms.ts";
import {
  type Attachment as AttachmentRow,
  type AttachmentStatus as Status,
  listAttachments,
  listAttachmentsOf,
  listEventAttachments,
  pageAttachments,
} from "../src/uploads/attachments.ts";
import type { ImageSize as Size, MediaKind as Kind } from "../src/uploads/files.ts";
import { attachmentUrl, pictureUrl } from "../src/uploads/links.ts";
import { listPictures, type Picture, updateAvatar } from "../src/uploads/pictures.ts";
import { IncomingFile } from "../src/uploads/receiving.ts";
import { createUpload, uploadAttachments } from "../src/uploads/uploading.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes, viewerSlot } from "./builder.ts";
import { Message } from "./messages.ts";
import { mutation } from "./mutations.ts";
import { RoomEvent } from "./room_events.ts";
import { asMember, requireKey, Room } from "./rooms.ts";
import { User } from "./users.ts";

builder.scalarType("Upload", {
  description:
    "A file sent with the GraphQL multipart request protocol (`apollo-upload-client`, or urql's `fetchExchange`).",
  specifiedByURL: "https://github.com/jaydenseric/graphql-multipart-request-spec",
  parseValue: (value) => requireFile(value),
  parseLiteral: () => requireFile(null),
  serialize: () => requireFile(null),
});

function requireFile(value: unknown): IncomingFile {
  if (value instanceof IncomingFile) return value;
  throw new TypeError("Cannot read the file: it comes as a part of a multipart request, and stands in a variable");
}

const ImageSize = builder.enumType("ImageSize", {
  description: "Rendition of an image.",
  values: {
    SMALL: { description: "Fits 64 x 64." },
    MEDIUM: { description: "Fits 256 x 256." },
    LARGE: { description: "Fits 1024 x 1024." },
    ORIGINAL: { description: "As uploaded, without metadata." },
  } satisfies Record<Size, { description: string }>,
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
  } satisfies Record<Status, { description: string }>,
});

/** An attachment is for those in the room, a picture for everybody who finds its URL. */
type ImageRow = { readonly attachment: AttachmentRow } | { readonly picture: Picture };

const PLACEHOLDER_URL = "https://placeholder.invalid/";

const attachmentLink = viewerSlot(
  PLACEHOLDER_URL,
  ({ attachment, size }: { readonly attachment: AttachmentRow; readonly size: Size }, { userId }, app) =>
    attachmentUrl(app, userId, attachment, size),
);

const Image = builder.objectRef<ImageRow>("Image").implement({
  description: "An image with everything needed to lay it out before it has loaded.",
  fields: (t) => ({
    url: t.field({
      type: "URL",
      description:
        "URL of the rendition. That of an avatar or icon does not change for the same content, so it is safe to cache for\n" +
        "ever; that of an attachment is the viewer's own and valid for 5 minutes, like `Attachment.url`.",
      args: {
        size: t.arg({ type: ImageSize, required: true, defaultValue: "ORIGINAL", description: "Rendition." }),
      },
      resolve: (image, { size }, ctx, info) =>
        "picture" in image
          ? pictureUrl(ctx.app, image.picture.id, size)
          : attachmentLink({ attachment: image.attachment, size }, {}, ctx, info),
    }),
    width: t.int({ description: "Width of the original in pixels.", resolve: (image) => sized(image).width ?? 0 }),
    height: t.int({ description: "Height of the original in pixels.", resolve: (image) => sized(image).height ?? 0 }),
    thumbhash: t.string({
      nullable: true,
      description: "ThumbHash placeholder, about 28 bytes, base64.",
      resolve: (image) => sized(image).thumbhash,
    }),
    alt: t.string({ nullable: true, description: "Alternative text.", resolve: () => null }),
  }),
});

function sized(image: ImageRow): Pick<Picture, "width" | "height" | "thumbhash"> {
  return "picture" in image ? image.picture : image.attachment;
}

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

builder.objectField(User, "avatar", (t) =>
  t.loadable({
    type: Image,
    nullable: true,
    description: "Profile picture.",
    load: (ids: string[], ctx) => loadPictures(ctx, ids),
    resolve: ({ avatarId }) => avatarId,
  }));

async function loadPictures(ctx: Context, ids: readonly string[]): Promise<(ImageRow | null)[]> {
  const pictures = await listPictures(ctx.app, ids);
  return ids.map((wanted) => {
    const picture = pictures.find(({ id }) => id === wanted);
    return picture === undefined ? null : { picture };
  });
}

builder.objectFields(Room, (t) => ({
  icon: t.loadable({
    type: Image,
    nullable: true,
    description: "Picture of the room; for a one-to-one conversation the other user's avatar.",
    load: (ids: string[], ctx) => loadPictures(ctx, ids),
    resolve: async ({ id, kind, iconId }, _args, ctx) => {
      if (kind !== "DIRECT") return iconId;
      const people = await ctx.participantsOf(id);
      return people.length === 2 && ctx.viewer ? avatarOfOther(ctx.viewer.userId, people) : null;
    },
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
    resolve: (room, { mediaKinds, ...page }, ctx) =>
      asMember(ctx, room, (member) => pageAttachments(ctx.app, member, { mediaKinds, page: parsePage(page) })),
  }),
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

mutation("updateAvatar", {
  description: "Sets or removes the viewer's avatar.",
  input: (t) => ({ file: t.field({ type: "Upload", description: "Image file; `null` removes the avatar." }) }),
  resolve: async ({ file }, ctx) => ({ userId: await updateAvatar(ctx.app, requireViewer(ctx), file ?? null) }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The changed user.", resolve: ({ userId }) => userId }),
  }),
});

mutation("uploadAttachments", {
  description: "Uploads files to a room, to be sent with `sendMessage`.",
  errors: "Why some or all were refused; empty on success.",
  input: (t) => ({
    roomId: t.id({
      required: true,
      description: "Room; the files are visible to others only once they are on a message.",
    }),
    files: t.field({
      type: ["Upload"],
      required: true,
      description: "Files, up to `ServerLimits.maxAttachmentsPerMessage`.",
    }),
  }),
  resolve: async ({ roomId, files }, ctx) => await uploadAttachments(ctx.app, await requireKey(ctx, roomId), files),
  fields: (t) => ({
    attachments: t.field({
      type: [Attachment],
      nullable: true,
      description: 'The stored files, in order; those refused are in `errors` with `path` ["files", index].',
      resolve: ({ attachmentIds }) => attachmentIds && [...attachmentIds],
    }),
  }),
});

mutation("createUpload", {
  description:
    "Announces a large file, to be sent as the raw body of a `PUT` to `url`, streamed, and taken up again where the\n" +
    "connection breaks. Once it is there it is an attachment like any other.",
  input: (t) => ({
    roomId: t.id({
      required: true,
      description: "Room; the file is visible to others only once it is on a message.",
    }),
    filename: t.string({ required: true, description: "File name." }),
    byteSize: t.int({ required: true, description: "Size in bytes, up to `ServerLimits.maxUploadBytes`." }),
  }),
  resolve: async ({ roomId, ...file }, ctx) => await createUpload(ctx.app, await requireKey(ctx, roomId), file),
  fields: (t) => ({
    attachmentId: t.id({
      nullable: true,
      description: "Id of the attachment that it becomes; unknown to `node` until all of it is there.",
      resolve: ({ attachmentId }) => attachmentId && encodeId("attachment", attachmentId),
    }),
    url: t.field({
      type: "URL",
      nullable: true,
      description:
        "Signed URL for the `PUT`. After a broken connection, `HEAD` tells in `Upload-Offset` how much is there: go on with\n" +
        "`Content-Range: bytes <offset>-<last>/<size>`.",
      resolve: ({ url }) => url,
    }),
    expiresAt: t.expose("expiresAt", {
      type: "DateTime",
      nullable: true,
      description: "Until when it is to be there and on a message.",
    }),
  }),
});

mutation("deleteAttachment", {
  description: "Deletes an attachment of the viewer.",
  input: (t) => ({ attachmentId: t.id({ required: true, description: "Attachment." }) }),
  resolve: async ({ attachmentId }, ctx) => {
    const message = await deleteAttachment(ctx.app, requireViewer(ctx), findId("attachment", attachmentId));
    return { attachmentId, message };
  },
  fields: (t) => ({
    deletedAttachmentId: t.id({
      nullable: true,
      description: "Id of the deleted attachment.",
      resolve: ({ attachmentId }) => attachmentId ?? null,
    }),
    message: t.field({
      type: Message,
      nullable: true,
      description: "The message it was on.",
      resolve: ({ message }) => message,
    }),
  }),
});
