/** Pins: messages that a room keeps in view. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { limitKey, lockPermitted, type Member } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { type Changed, logChange, publishChange } from "./changes.ts";
import { type Message, requireMessage } from "./messages.ts";

/** Pinned messages of one room: more is a second timeline. */
const PINS_MAX = 100;

/** Pins a message; pinning it twice changes nothing. Throws NOT_FOUND, FORBIDDEN, NOT_EDITABLE, TOO_LONG, RATE_LIMITED. */
export async function pinMessage(app: App, viewer: Viewer, messageId: string | null): Promise<Message> {
  const { message, member } = await requirePinnable(app, viewer, messageId);
  if (message.pinnedAt !== null) return message;
  await app.limits.take("react", limitKey(member));
  const pinned = await changePin(app, member, { message, isPinned: true });
  if (pinned !== null) return pinned;
  const now = await requirePinnable(app, viewer, messageId);
  if (now.message.pinnedAt !== null) return now.message;
  throw new AppError(
    "TOO_LONG",
    `Cannot pin the message: the room has ${PINS_MAX} pinned messages, which is the limit`,
    {
      path: ["messageId"],
      limit: PINS_MAX,
    },
  );
}

/** Unpins a message; nothing happens where it is not pinned. Throws NOT_FOUND, FORBIDDEN, RATE_LIMITED. */
export async function unpinMessage(app: App, viewer: Viewer, messageId: string | null): Promise<Message> {
  const { message, member } = await requireMessage(app, viewer, messageId);
  requirePermission(member, "PIN_MESSAGES", "messageId");
  if (message.pinnedAt === null) return message;
  await app.limits.take("react", limitKey(member));
  const unpinned = await changePin(app, member, { message, isPinned: false });
  if (unpinned !== null) return unpinned;
  const now = await requireMessage(app, viewer, messageId);
  requirePermission(now.member, "PIN_MESSAGES", "messageId");
  return now.message;
}

async function requirePinnable(app: App, viewer: Viewer, messageId: string | null) {
  const found = await requireMessage(app, viewer, messageId);
  requirePermission(found.member, "PIN_MESSAGES", "messageId");
  if (found.message.deletedAt === null) return found;
  throw new AppError("NOT_EDITABLE", "Cannot pin the message: it was deleted", { path: ["messageId"] });
}

/** `null` where nothing was changed. */
async function changePin(
  app: App,
  member: Member,
  { message: { id }, isPinned }: { readonly message: Message; readonly isPinned: boolean },
): Promise<Message | null> {
  const { sql } = app;
  const kind = isPinned ? "MESSAGE_PINNED" : "MESSAGE_UNPINNED";
  const provided = isPinned ? sql`count_pinned(rooms.id) < ${PINS_MAX}` : sql`true`;
  const [changed] = await sql<Changed[]>`
    with member as (${lockPermitted(app, member, { permission: "PIN_MESSAGES" })}
    ), target as (
      select messages.id
      from messages
      join member on member.room_id = messages.room_id
      where messages.id = ${id}
        and messages.deleted_at is null
        and (messages.pinned_at is null) = ${isPinned}
      for no key update of messages
    ), ${logChange(app, member, { kind, provided })}, message as (
      update messages
      set pinned_at = ${isPinned ? sql`event.created_at` : null},
        pinned_by_id = ${isPinned ? member.userId : null}
      from target, event
      where messages.id = target.id
      returning messages.*
    )
    select message.*, event.seq as event_seq, event.created_at as event_at
    from message, event`;
  return publishChange(app, member, { kind, changed });
}

type Pinned = Pick<Message, "id"> & { readonly pinnedAt: Date | null };

const PINS: Omit<Keyset<Pinned>, "rows"> = {
  name: "room.pinnedMessages",
  key: [["pinned_at", "timestamptz"], ["id", "uuid"]],
  keyOf: ({ pinnedAt, id }) => [pinnedAt?.toISOString() ?? "", id],
  descending: true,
};

/** Pinned messages of the room, last pinned first. Throws BAD_USER_INPUT. */
export async function pagePinnedMessages(app: App, { roomId }: Member, page: Page): Promise<Connection<Message>> {
  const rows = app.sql`select * from messages where room_id = ${roomId} and pinned_at is not null`;
  return await readPage<Message>(app.sql, { ...PINS, rows }, page);
}

/** Position of a message in `room.pinnedMessages`, pinned at that time. */
export function pinCursor(pinned: Pinned): string {
  return cursorOf(PINS, pinned);
}
