/** Images as they are shown: in sizes, as avatars of people and icons of rooms. */
import { type Context, requireViewer } from "../src/context.ts";
import { avatarOfOther } from "../src/rooms/direct_rooms.ts";
import type { Attachment as AttachmentRow } from "../src/uploads/attachments.ts";
import type { ImageSize as Size } from "../src/uploads/files.ts";
import { attachmentUrl, pictureUrl } from "../src/uploads/links.ts";
import { listPictures, type Picture, updateAvatar } from "../src/uploads/pictures.ts";
import { builder, viewerSlot } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { Room } from "./rooms.ts";
import { User } from "./users.ts";

const ImageSize = builder.enumType("ImageSize", {
  description: "Rendition of an image.",
  values: {
    SMALL: { description: "Fits 64 x 64." },
    MEDIUM: { description: "Fits 256 x 256." },
    LARGE: { description: "Fits 1024 x 1024." },
    ORIGINAL: { description: "As uploaded, without metadata." },
  } satisfies Record<Size, { description: string }>,
});

/** An attachment is for those in the room, a picture for everybody who finds its URL. */
type ImageRow = { readonly attachment: AttachmentRow } | { readonly picture: Picture };

const PLACEHOLDER_URL = "https://placeholder.invalid/";

/** URL of a size of an attachment for the one who asks. */
export const attachmentLink = viewerSlot(
  PLACEHOLDER_URL,
  ({ attachment, size }: { readonly attachment: AttachmentRow; readonly size: Size }, { userId }, app) =>
    attachmentUrl(app, userId, attachment, size),
);

export const Image = builder.objectRef<ImageRow>("Image").implement({
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

builder.objectField(Room, "icon", (t) =>
  t.loadable({
    type: Image,
    nullable: true,
    description: "Picture of the room; for a one-to-one conversation the other user's avatar.",
    load: (ids: string[], ctx) => loadPictures(ctx, ids),
    resolve: async ({ id, kind, iconId }, _args, ctx) => {
      if (kind !== "DIRECT") return iconId;
      const people = await ctx.participantsOf(id);
      return people.length === 2 && ctx.viewer ? avatarOfOther(ctx.viewer.userId, people) : null;
    },
  }));

mutation("updateAvatar", {
  description: "Sets or removes the viewer's avatar.",
  input: (t) => ({ file: t.field({ type: "Upload", description: "Image file; `null` removes the avatar." }) }),
  resolve: async ({ file }, ctx) => ({ userId: await updateAvatar(ctx.app, requireViewer(ctx), file ?? null) }),
  fields: (t) => ({
    user: t.field({ type: User, nullable: true, description: "The changed user.", resolve: ({ userId }) => userId }),
  }),
});
