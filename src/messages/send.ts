/** Sending a message: one statement that numbers, stores and logs it, or does nothing at all. */
import { createHash } from "node:crypto";
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { requireExactText, requireText } from "../lib/texts.ts";
import { isViolationOf } from "../platform/sql.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { lockMember, type Member, notAMember } from "../rooms/members.ts";
import type { Message } from "./messages.ts";

const CLIENT_MESSAGE_ID_MAX = 64;

export interface SendInput {
  readonly content?: string | null | undefined;
  readonly clientMessageId?: string | null | undefined;
}

interface Draft {
  readonly content: string;
  readonly clientMessageId: string | null;
  readonly requestHash: Uint8Array;
}

/** Sends a message and returns it once it is stored. A repeated `clientMessageId` returns the first one.
 * Throws NOT_A_MEMBER, EMPTY, TOO_LONG, INVALID_INPUT, IDEMPOTENCY_MISMATCH, RATE_LIMITED. */
export async function sendMessage(app: App, member: Member, input: SendInput): Promise<Message> {
  const draft = parseDraft(app, member, input);
  await app.limits.take("send", `${member.userId}:${member.roomId}`);
  try {
    const { message, event } = await appendMessage(app, member, draft);
    publishRoomEvent(app, event);
    return message;
  } catch (error) {
    // The statement was undone with its number, so a retry leaves no gap in the log.
    if (draft.clientMessageId === null || !isViolationOf(error, "messages_client_message_id_key")) throw error;
    return await findSent(app, member, draft);
  }
}

/** The content as it is stored. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseContent(app: App, content: string): string {
  return requireText("content", content, app.config.maxMessageLength);
}

function parseDraft(app: App, member: Member, input: SendInput): Draft {
  const content = parseContent(app, input.content ?? "");
  const clientMessageId = input.clientMessageId ?? null;
  if (clientMessageId !== null) requireExactText("clientMessageId", clientMessageId, CLIENT_MESSAGE_ID_MAX);
  const requestHash = createHash("sha256").update(JSON.stringify([member.roomId, content])).digest();
  return { content, clientMessageId, requestHash };
}

async function appendMessage(app: App, member: Member, draft: Draft): Promise<{ message: Message; event: RoomEvent }> {
  const [row] = await app.sql<Message[]>`
    with member as (${lockMember(app, member)}
    ), room as (
      update rooms
      set ${takeSeq(app)},
        last_activity_at = now()
      from member
      where rooms.id = member.room_id
      returning rooms.id, rooms.last_seq, member.user_id
    ), message as (
      insert into messages (id, room_id, seq, author_id, content, client_message_id, request_hash)
      select ${newId()}, id, last_seq, user_id, ${draft.content}, ${draft.clientMessageId}, ${draft.requestHash} from room
      returning *
    ), event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, created_at)
      select room_id, seq, 'MESSAGE_SENT', author_id, id, created_at from message
    )
    select * from message`;
  if (row === undefined) throw notAMember();
  const event: RoomEvent = {
    roomId: row.roomId,
    seq: row.seq,
    kind: "MESSAGE_SENT",
    actorId: row.authorId,
    subjectId: row.id,
    data: null,
    createdAt: row.createdAt,
  };
  return { message: row, event };
}

async function findSent(app: App, member: Member, draft: Draft): Promise<Message> {
  const [sent] = await app.sql<(Message & { isSame: boolean })[]>`
    select *, request_hash = ${draft.requestHash} as is_same
    from messages
    where author_id = ${member.userId}
      and client_message_id = ${draft.clientMessageId}`;
  if (sent?.isSame) return sent;
  throw new AppError(
    "IDEMPOTENCY_MISMATCH",
    "Cannot send the message: its `clientMessageId` was used for another one",
    {
      path: ["clientMessageId"],
    },
  );
}
