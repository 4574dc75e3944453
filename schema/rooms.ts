/** Rooms: what they show, how they are found and made. Fields that need membership are `null`, without an error, for those who are not in. */
import { type Context, requireViewer } from "../src/context.ts";
import { encodeEventCursor } from "../src/lib/event_cursors.ts";
import { encodeId, findId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { createRoom } from "../src/rooms/create.ts";
import { type Participant, titleFor } from "../src/rooms/direct_rooms.ts";
import { type Member, requireMember } from "../src/rooms/members.ts";
import { hasPermission, type RoomKind as Kind, type RoomPermission } from "../src/rooms/permissions.ts";
import {
  findRoomBySlug,
  listKnownRooms,
  listRooms,
  listVisibleRooms,
  pagePublicRooms,
  pageViewerRooms,
  type Room as RoomRow,
  type RoomOrder as Order,
  viewerRoomCursor,
} from "../src/rooms/rooms.ts";
import { builder, Node, pageArgs, pageComplexity, pageTypes, type SchemaTypes, viewerSlot } from "./builder.ts";
import { mutation } from "./mutations.ts";
import { User, Viewer } from "./users.ts";

export const RoomKind = builder.enumType("RoomKind", {
  description: "Who can find and join a room.",
  values: {
    PUBLIC: { description: "Listed in `publicRooms`; anyone may join." },
    PRIVATE: { description: "Unlisted; join by invite only." },
    DIRECT: { description: "A direct conversation between 2 to 9 users; no roles, no invites." },
  } satisfies Record<Kind, { description: string }>,
});

const directTitle = viewerSlot("", (people: readonly Participant[], { userId }) => titleFor(userId, people));

export const Room = builder.loadableObject("Room", {
  description:
    "A conversation. Fields that need membership are `null`, without an error, when the viewer may not read the room.",
  interfaces: [Node],
  load: (ids: string[], ctx) => listRooms(ctx.app, ids),
  toKey: ({ id }) => id,
  sort: true,
  cacheResolved: true,
  fields: (t) => ({
    id: t.id({ description: "Global id.", resolve: ({ id }) => encodeId("room", id) }),
    kind: t.expose("kind", { type: RoomKind, description: "Who can find and join it." }),
    name: t.exposeString("name", { nullable: true, description: "Name; `null` for direct conversations." }),
    slug: t.exposeString("slug", {
      nullable: true,
      description: "Unique name for URLs; `null` for direct conversations.",
    }),
    title: t.string({
      description: "Label to show to this viewer: the name, or the other participants of a direct conversation.",
      resolve: async ({ id, name }, args, ctx, info) =>
        name ?? directTitle(await ctx.participantsOf(id), args, ctx, info),
    }),
    topic: t.exposeString("topic", { nullable: true, description: "What the room is about." }),
    creator: t.field({ type: User, description: "Who created it.", resolve: ({ creatorId }) => creatorId }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was created." }),
    slowModeSeconds: t.exposeInt("slowModeSeconds", {
      description: "Minimum seconds between two messages of one member; 0 is off.",
    }),
    memberCount: t.exposeInt("memberCount", { description: "Number of members." }),
    lastActivityAt: t.expose("lastActivityAt", {
      type: "DateTime",
      description: "Time of the last message or of creation.",
    }),
    eventCursor: t.string({
      nullable: true,
      description:
        "Position in the room's event log now; pass it to `roomEvents(after:)` so that nothing is lost in between.",
      // The room's row is read before everything below it, so the position is never ahead of what the client sees.
      resolve: (room, _args, ctx) => asMember(ctx, room, () => encodeEventCursor(room.epoch, room.lastSeq)),
    }),
  }),
});

export const RoomPages = pageTypes(Room, "Room", "room", "rooms");

/** The viewer's key to a room, by its global id. Throws UNAUTHENTICATED, NOT_FOUND, NOT_A_MEMBER. */
export async function requireKey(ctx: Context, roomId: string): Promise<Member> {
  return await requireMember(ctx.app, requireViewer(ctx), findId("room", roomId));
}

/** What `read` finds with the viewer's key to the room; `null` for those who have none. */
export async function asMember<T>(
  ctx: Context,
  room: RoomRow,
  read: (member: Member) => T,
): Promise<Awaited<T> | null> {
  const member = await ctx.memberOf(room.id);
  return member && await read(member);
}

/** As `asMember`, and `null` for those who have not the permission either. */
export async function asPermitted<T>(
  ctx: Context,
  room: RoomRow,
  { permission, read }: { readonly permission: RoomPermission; readonly read: (member: Member) => T },
): Promise<Awaited<T> | null> {
  const member = await ctx.memberOf(room.id);
  return member && hasPermission(member, permission) ? await read(member) : null;
}

export async function findRoom(ctx: Context, id: string | null): Promise<RoomRow | null> {
  const [room] = id === null ? [] : await listVisibleRooms(ctx.app, ctx.viewer, [id]);
  return room ?? null;
}

builder.objectField(Viewer, "rooms", (t) =>
  t.field({
    type: RoomPages.connection,
    description: "Joined rooms, latest activity first.",
    args: { kinds: t.arg({ type: [RoomKind], description: "Only these kinds; default all." }), ...pageArgs(50) },
    complexity: pageComplexity,
    resolve: (_viewer, args, ctx) =>
      pageViewerRooms(ctx.app, requireViewer(ctx), { kinds: args.kinds, page: parsePage(args) }),
  }));

const RoomOrder = builder.enumType("RoomOrder", {
  description: "Order of `publicRooms`.",
  values: {
    MEMBER_COUNT: { description: "Most members first." },
    LAST_ACTIVITY: { description: "Latest activity first." },
    NAME: { description: "By name, A to Z." },
    CREATED_AT: { description: "Newest first." },
  } satisfies Record<Order, { description: string }>,
});

builder.queryFields((t) => ({
  room: t.field({
    type: Room,
    nullable: true,
    description: "A room the viewer may see.",
    args: { id: t.arg.id({ required: true, description: "Global id of the room." }) },
    resolve: (_root, { id }, ctx) => findRoom(ctx, findId("room", id)),
  }),
  roomBySlug: t.field({
    type: Room,
    nullable: true,
    description: "A room by its slug, for URLs.",
    args: { slug: t.arg.string({ required: true, description: "Slug of the room." }) },
    resolve: (_root, { slug }, ctx) => findRoomBySlug(ctx.app, ctx.viewer, slug),
  }),
  publicRooms: t.field({
    type: RoomPages.connection,
    nullable: true,
    description: "Rooms that anyone may join.",
    args: {
      search: t.arg.string({ description: "Words in name, slug or topic." }),
      orderBy: t.arg({
        type: RoomOrder,
        required: true,
        defaultValue: "LAST_ACTIVITY",
        description: "Order of the list.",
      }),
      ...pageArgs(30),
    },
    complexity: pageComplexity,
    resolve: (_root, args, ctx) => pagePublicRooms(ctx.app, args, parsePage(args)),
  }),
}));

/** The edge of a room in `viewer.rooms`. */
export const roomEdge = (node: RoomRow) => ({ cursor: viewerRoomCursor(node), node });

/** The same of the room with this id. */
export async function loadRoomEdge(ctx: Context, roomId: string) {
  return roomEdge(await Room.getDataloader(ctx).load(roomId));
}

mutation("createRoom", {
  description: "Creates a room, with the viewer as its owner.",
  input: (t) => ({
    kind: t.field({
      type: RoomKind,
      required: true,
      defaultValue: "PUBLIC",
      description: "`PUBLIC` or `PRIVATE`; use `openDirectRoom` for direct conversations.",
    }),
    name: t.string({ required: true, description: "Name." }),
    slug: t.string({ description: "Unique name for URLs; default is made from the name." }),
    topic: t.string({ description: "What the room is about." }),
    inviteeIds: t.idList({ description: "Users to invite at once." }),
  }),
  resolve: async ({ inviteeIds, ...input }, ctx) => ({
    room: await createRoom(ctx.app, requireViewer(ctx), {
      ...input,
      inviteeIds: inviteeIds?.map((id) => findId("user", id)),
    }),
  }),
  fields: (t) => ({
    room: t.field({ type: Room, nullable: true, description: "The new room.", resolve: ({ room }) => room }),
    roomEdge: t.field({
      type: RoomPages.edge,
      nullable: true,
      description: "Its edge in `viewer.rooms`.",
      resolve: ({ room }) => room && roomEdge(room),
    }),
  }),
});

/** Field of something that once led its viewer to a room, which may be private to others by now. */
export function knownRoom<Parent extends { readonly roomId: string }>(
  t: PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, Parent>,
  description: string,
) {
  return t.loadable({
    type: Room,
    description,
    load: async (ids: string[], ctx) => {
      const rooms = await listKnownRooms(ctx.app, requireViewer(ctx), ids);
      return ids.map((wanted) => rooms.find(({ id }) => id === wanted) ?? new Error("The room is gone"));
    },
    resolve: ({ roomId }) => roomId,
  });
}
