/** Messages: what they are, the rows behind every way to reach one, and what one may do to them. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { type Member, requireMember } from "../rooms/members.ts";
import { isModerator, isMuted } from "../rooms/permissions.ts";
import type { Reader } from "../rooms/relations.ts";

export interface Message {
  readonly id: string;
  readonly roomId: string;
  /** Seq of the event that sent it: its place in history. */
  readonly seq: number;
  readonly authorId: string;
  /** Markdown, empty where it is but files; `null` once deleted. */
  readonly content: string | null;
  readonly attachmentCount: number;
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
export async function listVisibleMessages(
  app: App,
  viewer: Pick<Viewer, "userId">,
  ids: readonly string[],
): Promise<Message[]> {
  return await app.sql<Message[]>`
    select messages.*
    from messages
    join members on members.room_id = messages.room_id
    where messages.id = any(${ids as string[]}::uuid[])
      and members.user_id = ${viewer.userId}`;
}

/** Those of the messages that a notification may still be about: the viewer may read them, and they are not deleted. */
export async function listSubjectMessages(
  app: App,
  viewer: Pick<Viewer, "userId">,
  ids: readonly string[],
): Promise<Message[]> {
  return (await listVisibleMessages(app, viewer, ids)).filter(({ deletedAt }) => deletedAt === null);
}

/** A message with the viewer's key to its room. Throws NOT_FOUND, whatever the reason. */
export async function requireMessage(
  app: App,
  viewer: Pick<Viewer, "userId">,
  messageId: string | null,
): Promise<{ message: Message; member: Member }> {
  const [message] = messageId === null ? [] : await listVisibleMessages(app, viewer, [messageId]);
  if (message === undefined) throw noSuchMessage("messageId");
  return { message, member: await requireMember(app, viewer, message.roomId) };
}

export function noSuchMessage(path: string): AppError {
  return new AppError("NOT_FOUND", "Cannot find the message: there is none with this id that you may see", {
    path: [path],
  });
}

/** The newest message in the main timeline of each of these rooms, in their order; `null` for an empty room. */
export async function listLastMessages(app: App, roomIds: readonly string[]): Promise<(Message | null)[]> {
  const messages = await app.sql<Message[]>`
    select last.*
    from rooms
    cross join lateral (
      select *
      from messages
      where messages.room_id = rooms.id
        and thread_root_id is null
      order by seq desc
      limit 1
    ) as last
    where rooms.id = any(${roomIds as string[]}::uuid[])`;
  return roomIds.map((id) => messages.find(({ roomId }) => roomId === id) ?? null);
}

export function canEdit(message: Message, reader: Reader, app: App): boolean {
  return message.deletedAt === null && message.authorId === reader.userId && reader.role !== null &&
    !isMuted(reader) && !isEditWindowOver(message, app);
}

export function isEditWindowOver({ createdAt }: Message, { config }: App): boolean {
  const seconds = config.messageEditWindowSeconds;
  return seconds !== null && createdAt.getTime() + seconds * 1000 <= Date.now();
}

export function canDelete(message: Message, reader: Pick<Reader, "userId" | "role">): boolean {
  if (message.deletedAt !== null || reader.role === null) return false;
  return message.authorId === reader.userId || isModerator(reader.role);
}
