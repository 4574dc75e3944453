/** `node` and `nodes`: any object by its global id, as far as the viewer may see it. */
import { brandWithType, type OutputType } from "@pothos/core";
import type { App } from "../src/app.ts";
import { listSessionsById } from "../src/auth/sessions.ts";
import type { Viewer as ViewerClaims } from "../src/auth/viewer.ts";
import { type Context, requireViewer } from "../src/context.ts";
import { AppError } from "../src/errors.ts";
import { type IdPrefix, parseId } from "../src/lib/ids.ts";
import { listVisibleMessages } from "../src/messages/messages.ts";
import { listScheduledMessages } from "../src/messages/scheduled_messages.ts";
import { listVisibleBans } from "../src/rooms/bans.ts";
import { listVisibleInvites } from "../src/rooms/invites.ts";
import { listVisibleMembers } from "../src/rooms/members.ts";
import { listVisibleRooms } from "../src/rooms/rooms.ts";
import { listVisibleAttachments } from "../src/uploads/attachments.ts";
import { listNotifications } from "../src/users/notifications.ts";
import { listVisibleAnnouncements } from "../src/users/announcements.ts";
import { listUsers } from "../src/users/users.ts";
import { listViewers } from "../src/users/viewers.ts";
import { Announcement } from "./announcements.ts";
import { Session } from "./auth.ts";
import { RoomBan } from "./bans.ts";
import { builder, Node, type SchemaTypes } from "./builder.ts";
import { RoomInvite } from "./invites.ts";
import { Message } from "./messages.ts";
import { Notification } from "./notifications.ts";
import { RoomMember } from "./members.ts";
import { Room } from "./rooms.ts";
import { ScheduledMessage } from "./scheduled_messages.ts";
import { Attachment } from "./attachments.ts";
import { User, Viewer } from "./users.ts";

const IDS_MAX = 100;

type Row = { readonly id: string };
type Finder = (app: App, viewer: ViewerClaims, ids: readonly string[]) => Promise<readonly Row[]>;

const NODES: Readonly<Record<IdPrefix, { readonly type: OutputType<SchemaTypes>; readonly find: Finder }>> = {
  viewer: { type: Viewer, find: (app, { userId }, ids) => listViewers(app, ids.filter((id) => id === userId)) },
  user: { type: User, find: (app, _viewer, ids) => listUsers(app, ids) },
  session: { type: Session, find: listSessionsById },
  room: { type: Room, find: listVisibleRooms },
  member: { type: RoomMember, find: listVisibleMembers },
  invite: { type: RoomInvite, find: listVisibleInvites },
  ban: { type: RoomBan, find: listVisibleBans },
  message: { type: Message, find: listVisibleMessages },
  attachment: { type: Attachment, find: listVisibleAttachments },
  scheduled: { type: ScheduledMessage, find: listScheduledMessages },
  notification: { type: Notification, find: (app, { userId }, ids) => listNotifications(app, userId, ids) },
  announcement: { type: Announcement, find: (app, { userId }, ids) => listVisibleAnnouncements(app, userId, ids) },
};

builder.queryFields((t) => ({
  node: t.field({
    type: Node,
    nullable: true,
    description: "Fetches any object by its global id; `null` if it does not exist or is not visible.",
    args: { id: t.arg.id({ required: true, description: "Global id." }) },
    resolve: async (_root, { id }, ctx) => (await findNodes(ctx, [id]))[0],
  }),
  nodes: t.field({
    type: [Node],
    nullable: { list: false, items: true },
    description: "Fetches up to 100 objects by global id, in the given order, with `null` for those not visible.",
    args: { ids: t.arg.idList({ required: true, description: "Global ids." }) },
    complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
    resolve: (_root, { ids }, ctx) => findNodes(ctx, ids),
  }),
}));

async function findNodes(ctx: Context, globalIds: readonly string[]): Promise<(Row | null)[]> {
  if (globalIds.length > IDS_MAX) {
    throw new AppError(
      "BAD_USER_INPUT",
      `Cannot fetch the objects: there are ${globalIds.length} ids, the limit is ${IDS_MAX}`,
      { limit: IDS_MAX },
    );
  }
  const viewer = requireViewer(ctx);
  const wanted = globalIds.map(parseId);
  const prefixes = [...new Set(wanted.flatMap((id) => id?.prefix ?? []))];
  const found = await Promise.all(prefixes.map(async (prefix) => {
    const ids = wanted.flatMap((id) => id?.prefix === prefix ? id.uuid : []);
    const { type, find } = NODES[prefix];
    const rows = await find(ctx.app, viewer, ids);
    for (const row of rows) brandWithType(row, type);
    return [prefix, new Map(rows.map((row) => [row.id, row]))] as const;
  }));
  const rowsOf = new Map(found);
  return wanted.map((id) => id && rowsOf.get(id.prefix)?.get(id.uuid) || null);
}
