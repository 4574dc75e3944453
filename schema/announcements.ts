/** Announcements: what the operators tell everyone, a room or some people. */
import { publishAnnouncement, retractAnnouncement } from "../src/admin/announcements.ts";
import { requireViewer } from "../src/context.ts";
import { encodeId, findId, findOptionalId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { listVisibleRooms } from "../src/rooms/rooms.ts";
import {
  type Announcement as AnnouncementRow,
  announcementCursor,
  type AnnouncementLevel as Level,
  dismissAnnouncement,
  listDismissals,
  pageAnnouncements,
} from "../src/users/announcements.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes } from "./builder.ts";
import { mutation, type PayloadBuilder } from "./mutations.ts";
import { Room } from "./rooms.ts";

/** A text weighs as much as so many small fields, as in messages. */
const CONTENT_COMPLEXITY = 20;

const AnnouncementLevel = builder.enumType("AnnouncementLevel", {
  description: "Severity of an announcement.",
  values: {
    INFO: { description: "Information." },
    WARNING: { description: "Something to be aware of." },
    CRITICAL: { description: "An outage or another urgent matter." },
  } satisfies Record<Level, { description: string }>,
});

export const Announcement = builder.objectRef<AnnouncementRow>("Announcement").implement({
  description: "A message from the operators.",
  interfaces: [Node],
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("announcement", id) }),
    title: t.exposeString("title", { description: "Headline." }),
    content: t.exposeString("content", { description: "Markdown text.", complexity: CONTENT_COMPLEXITY }),
    level: t.expose("level", { type: AnnouncementLevel, description: "Severity." }),
    room: t.loadable({
      type: Room,
      nullable: true,
      description: "Room it is for; `null` for the whole server.",
      load: async (roomIds: string[], ctx) => {
        const rooms = await listVisibleRooms(ctx.app, ctx.viewer, roomIds);
        return roomIds.map((roomId) => rooms.find(({ id }) => id === roomId) ?? null);
      },
      resolve: ({ roomId }) => roomId,
    }),
    publishedAt: t.expose("publishedAt", { type: "DateTime", description: "When it was published." }),
    expiresAt: t.expose("expiresAt", { type: "DateTime", nullable: true, description: "When it ends." }),
    viewerHasDismissed: t.loadable({
      type: "Boolean",
      description: "Whether the viewer dismissed it.",
      load: (ids: string[], ctx) => listDismissals(ctx.app, ctx.viewer?.userId ?? null, ids),
      resolve: ({ id }) => id,
    }),
  }),
});

export const AnnouncementPages = pageTypes(Announcement, "Announcement", "announcement", "announcements");

/** The edge of an announcement in `announcements`. */
export const announcementEdge = (node: AnnouncementRow) => ({ cursor: announcementCursor(node), node });

builder.queryField("announcements", (t) =>
  t.field({
    type: AnnouncementPages.connection,
    nullable: true,
    description: "Announcements in force for the viewer, newest first.",
    args: pageArgs(10),
    complexity: pageComplexity,
    resolve: (_root, args, ctx) => pageAnnouncements(ctx.app, ctx.viewer?.userId ?? null, parsePage(args)),
  }));

const AnnouncementAudience = builder.inputType("AnnouncementAudience", {
  description: "Who gets an announcement: exactly one of the fields.",
  isOneOf: true,
  fields: (t) => ({
    everyone: t.boolean({ description: "`true`: everyone on the server." }),
    roomId: t.id({ description: "The members of a room." }),
    userIds: t.idList({ description: "These users." }),
  }),
});

const announcementField = (t: PayloadBuilder<{ readonly announcement: AnnouncementRow }>) =>
  t.field({
    type: Announcement,
    nullable: true,
    description: "The announcement.",
    resolve: ({ announcement }) => announcement,
  });

mutation("publishAnnouncement", {
  description: "Admin: sends an announcement to everyone, a room, or some users.",
  input: (t) => ({
    audience: t.field({ type: AnnouncementAudience, required: true, description: "Who gets it." }),
    title: t.string({ required: true, description: "Headline." }),
    content: t.string({ required: true, description: "Markdown text." }),
    level: t.field({ type: AnnouncementLevel, required: true, defaultValue: "INFO", description: "Severity." }),
    expiresAt: t.field({ type: "DateTime", description: "When it ends." }),
  }),
  resolve: async ({ audience: { everyone, roomId, userIds }, ...input }, ctx) => ({
    announcement: await publishAnnouncement(ctx.app, requireViewer(ctx), {
      ...input,
      audience: {
        everyone,
        roomId: findOptionalId("room", roomId),
        userIds: userIds?.map((id) => findId("user", id)),
      },
    }),
  }),
  fields: (t) => ({
    announcement: announcementField(t),
    announcementEdge: t.field({
      type: AnnouncementPages.edge,
      nullable: true,
      description: "Its edge in `announcements`.",
      resolve: ({ announcement }) => announcement && announcementEdge(announcement),
    }),
  }),
});

mutation("retractAnnouncement", {
  description: "Admin: takes an announcement back.",
  input: (t) => ({ announcementId: t.id({ required: true, description: "Announcement." }) }),
  resolve: async ({ announcementId }, ctx) => ({
    id: await retractAnnouncement(ctx.app, requireViewer(ctx), findId("announcement", announcementId)),
  }),
  fields: (t) => ({
    deletedAnnouncementId: t.id({
      nullable: true,
      description: "Id of the retracted announcement.",
      resolve: ({ id }) => id && encodeId("announcement", id),
    }),
  }),
});

mutation("dismissAnnouncement", {
  description: "Hides an announcement for the viewer.",
  input: (t) => ({ announcementId: t.id({ required: true, description: "Announcement." }) }),
  resolve: async ({ announcementId }, ctx) => ({
    announcement: await dismissAnnouncement(
      ctx.app,
      requireViewer(ctx).userId,
      findId("announcement", announcementId),
    ),
  }),
  fields: (t) => ({
    announcement: announcementField(t),
  }),
});
