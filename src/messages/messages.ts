/** Messages: what they are, and the rows behind every way to reach one. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { isModerator } from "../rooms/permissions.ts";
import type { Reader } from "../rooms/relations.ts";

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
  readonly replyToId: string | null;
  /** The message whose thread this one is in; `null` in the main timeline. */
  readonly threadRootId: string | null;
  readonly mentionsEveryone: boolean;
  readonly pinnedAt: Date | null;
  readonly pinnedById: string | null;
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

export function canEdit(message: Message, reader: Pick<Reader, "userId" | "role">): boolean {
  return message.deletedAt === null && message.authorId === reader.userId && reader.role !== null;
}

export function canDelete(message: Message, reader: Pick<Reader, "userId" | "role">): boolean {
  if (message.deletedAt !== null || reader.role === null) return false;
  return message.authorId === reader.userId || isModerator(reader.role);
}
