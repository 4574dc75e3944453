/** Messages: what they are, and the rows behind every way to reach one. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import type { RoomRole } from "../rooms/events.ts";
import { isModerator } from "../rooms/members.ts";

export interface Message {
  readonly id: string;
  readonly roomId: string;
  /** Seq of the event that sent it: its place in history. */
  readonly seq: number;
  readonly authorId: string;
  /** Markdown; `null` once deleted. */
  readonly content: string | null;
  readonly clientMessageId: string | null;
  readonly createdAt: Date;
  readonly editedAt: Date | null;
  readonly deletedAt: Date | null;
}

/** The messages with these ids, seen from inside their room. */
export async function listMessages(app: App, ids: readonly string[]): Promise<Message[]> {
  return await app.sql<Message[]>`select * from messages where id = any(${ids as string[]}::uuid[])`;
}

/** Those of the messages that the viewer may read: of rooms the viewer is in. */
export async function listVisibleMessages(app: App, viewer: Viewer, ids: readonly string[]): Promise<Message[]> {
  return await app.sql<Message[]>`
    select messages.*
    from messages
    join members on members.room_id = messages.room_id
    where messages.id = any(${ids as string[]}::uuid[])
      and members.user_id = ${viewer.userId}`;
}

/** The newest message of each of these rooms, in their order; `null` for an empty room. */
export async function listLastMessages(app: App, roomIds: readonly string[]): Promise<(Message | null)[]> {
  const messages = await app.sql<Message[]>`
    select last.*
    from rooms
    cross join lateral (
      select *
      from messages
      where messages.room_id = rooms.id
      order by seq desc
      limit 1
    ) as last
    where rooms.id = any(${roomIds as string[]}::uuid[])`;
  return roomIds.map((id) => messages.find(({ roomId }) => roomId === id) ?? null);
}

/** What the answer to "may the viewer" depends on, besides the message. */
export interface Reader {
  readonly userId: string;
  /** Role in the room; `null` for one who is not in it. */
  readonly role: RoomRole | null;
}

export function canEdit(message: Message, reader: Reader): boolean {
  return message.deletedAt === null && message.authorId === reader.userId && reader.role !== null;
}

export function canDelete(message: Message, reader: Reader): boolean {
  if (message.deletedAt !== null || reader.role === null) return false;
  return message.authorId === reader.userId || isModerator(reader.role);
}
