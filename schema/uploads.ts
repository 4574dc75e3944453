/** Uploading files, and deleting them. */
import { requireViewer } from "../src/context.ts";
import { AppError } from "../src/errors.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { deleteAttachment } from "../src/messages/attachment_deletion.ts";
import { IncomingFile } from "../src/uploads/receiving.ts";
import { createUpload, uploadAttachments } from "../src/uploads/uploading.ts";
import { Attachment } from "./attachments.ts";
import { builder } from "./builder.ts";
import { Message } from "./messages.ts";
import { mutation } from "./mutations.ts";
import { requireKey } from "./rooms.ts";

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
  const state = "it comes as a part of a multipart request, and stands in a variable";
  throw new AppError("BAD_USER_INPUT", `Cannot read the file: ${state}`);
}

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
