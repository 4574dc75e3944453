/** Sending a message: one statement that numbers, stores and logs it, or does nothing at all. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { commaSeparated, type Fragment, isViolationOf, retryAway, retryDeadlock } from "../platform/sql.ts";
import { publishRoomEvent, takeSeq } from "../rooms/events.ts";
import { limitKey, lockPermitted, type Member } from "../rooms/members.ts";
import { isPermitted } from "../rooms/permissions.ts";
import { notificationNews } from "../users/notifications.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { attachFiles, lockUnsent } from "./attached_files.ts";
import { type Draft, parseDraft, type SendInput } from "./drafts.ts";
import { findMentioned, insertMentions, reachesEveryone } from "./mentions.ts";
import type { Message } from "./messages.ts";
import { notifyMembers } from "./notices.ts";
import { explainRefusal, isFacingBlock } from "./refusals.ts";
import { indexText } from "./search_index.ts";

/** Sends a message and returns it once it is stored. A repeated `clientMessageId` returns the first one.
 * Throws NOT_FOUND, NOT_A_MEMBER, FORBIDDEN, BLOCKED, EMPTY, TOO_LONG, INVALID_INPUT, IDEMPOTENCY_MISMATCH, SLOW_MODE,
 * RATE_LIMITED; NOT_SCHEDULABLE where its claim was used up before. */
export async function sendMessage(app: App, member: Member, input: SendInput): Promise<Message> {
  const draft = parseDraft(app, member, input);
  await app.limits.take("send", limitKey(member));
  const send = async () => await appendMessage(app, member, draft) ?? await findSent(app, member, draft);
  // What became of a statement whose answer was lost, nobody knows; repeated, it finds what the first one stored.
  const message = await (draft.clientMessageId === null ? send() : retryAway(send));
  if (message === null) throw await explainRefusal(app, member, draft);
  return message;
}

/** The stored message; `null` where the room's state is against it or the `clientMessageId` was used before. */
async function appendMessage(app: App, member: Member, draft: Draft): Promise<Message | null> {
  const { sql } = app;
  try {
    const [row] = await retryDeadlock(() => {
      const tellings = tellingParts(app, member, draft);
      return sql<(Message & { told?: string[] })[]>`
        with ${commaSeparated(sql, [...writingParts(app, member, draft), ...tellings])}
        select message.* ${tellings.length > 0 ? sql`, ${toldUsers(app)}` : sql``}
        from message`;
    });
    if (row === undefined) return null;
    publishSent(app, row);
    publishViewerEvents(app, row.told ?? []);
    return row;
  } catch (error) {
    // Undone with its number, so it leaves no gap in the log. It may be this very draft that was stored by an earlier try.
    const isStored = ["messages_client_message_id_key", "messages_pkey"].some((key) => isViolationOf(error, key));
    if (draft.clientMessageId === null || !isStored) throw error;
    return null;
  }
}

/** The parts of the statement that every message has, after those that it depends on. */
function writingParts(app: App, member: Member, draft: Draft): Fragment[] {
  const { sql } = app;
  const { replyToId, threadRootId, attachmentIds, claim } = draft;
  const hasFiles = attachmentIds.length > 0;
  const scheduledMessageId = claim?.scheduledMessageId ?? null;
  return [
    ...claim ? [sql`claimed as (${claim.lock})`] : [],
    ...hasFiles ? [sql`attachment as (${lockUnsent(app, member, { attachmentIds, scheduledMessageId })})`] : [],
    ...replyToId ? [sql`quoted as (${selectHere(app, member, replyToId)})`] : [],
    ...threadRootId ? [sql`root as (${selectHere(app, member, threadRootId)} and thread_root_id is null)`] : [],
    sql`member as (${lockSender(app, member, draft)})`,
    sql`room as (
      update rooms
      set ${takeSeq(app)},
        last_activity_at = now()
      from member
      where rooms.id = member.room_id
      returning rooms.id, rooms.last_seq, member.user_id
    )`,
    sql`message as (
      insert into messages (
        id, room_id, seq, author_id, content, client_message_id, request_hash, reply_to_id, thread_root_id,
        mentions_everyone, attachment_count
      )
      select ${draft.id}, id, last_seq, user_id, ${draft.content}, ${draft.clientMessageId}, ${draft.requestHash},
        ${replyToId}, ${threadRootId}, ${reachesEveryone(app, member, draft.mentions)}, ${attachmentIds.length}
      from room
      returning *
    )`,
    ...hasFiles ? [sql`attached as (${attachFiles(app)})`] : [],
    indexText(app, draft.content),
    sql`event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, created_at)
      select room_id, seq, 'MESSAGE_SENT', author_id, id, created_at from message
    )`,
  ];
}

/** The parts for those whom it concerns: none for most messages. */
function tellingParts(app: App, member: Member, { id, replyToId, threadRootId, mentions, claim }: Draft): Fragment[] {
  const { sql } = app;
  const reasons = [
    ...mentions.names.length > 0 ? [sql`select user_id, 'MENTION' as kind from mention`] : [],
    ...mentions.everyone
      ? [sql`
        select members.user_id, 'MENTION' as kind
        from message
        join members on members.room_id = message.room_id
        where message.mentions_everyone`]
      : [],
    ...replyToId ? [sql`select quoted.author_id as user_id, 'REPLY' as kind from quoted, message`] : [],
    ...threadRootId ? [sql`select root.author_id as user_id, 'REPLY' as kind from root, message`] : [],
  ];
  const news = [...reasons.length > 0 ? [notificationNews(app)] : [], ...claim ? [claim.news] : []];
  if (news.length === 0) return [];
  return [
    ...mentions.names.length > 0 ? [findMentioned(app, member, mentions), insertMentions(app)] : [],
    ...reasons.length > 0 ? [notifyMembers(app, member, { messageId: id, reasons })] : [],
    ...claim ? [sql`settled as (${claim.settle})`] : [],
    sql`news as (${news.reduce((all, more) => sql`${all} union all ${more}`)})`,
    appendViewerEvents(app),
  ];
}

function selectHere({ sql }: App, member: Member, messageId: string): Fragment {
  return sql`select author_id from messages where id = ${messageId} and room_id = ${member.roomId}`;
}

/** Locks the sender if all is as the message needs it. In slow mode it also notes the time, which only one of two messages
 * at once can do. */
function lockSender(app: App, member: Member, { replyToId, threadRootId, attachmentIds, claim }: Draft): Fragment {
  const { sql } = app;
  const provided = [
    sql`true`,
    ...claim ? [sql`exists (select from claimed)`] : [],
    ...attachmentIds.length > 0 ? [sql`(select count(*) from attachment) = ${attachmentIds.length}`] : [],
    ...replyToId ? [sql`exists (select from quoted)`] : [],
    ...threadRootId ? [sql`exists (select from root)`] : [],
    ...member.roomKind === "DIRECT" ? [sql`not ${isFacingBlock(app, member)}`] : [],
  ].reduce((all, condition) => sql`${all} and ${condition}`);
  if (member.slowModeSeconds === 0) return lockPermitted(app, member, { permission: "SEND_MESSAGES", provided });
  return sql`
    update members
    set last_sent_at = now()
    where room_id = ${member.roomId}
      and user_id = ${member.userId}
      and ${isPermitted(sql, member.roomKind, "SEND_MESSAGES")}
      and ${provided}
      and (
        role <> 'MEMBER'
        or last_sent_at is null
        or last_sent_at <= now() - make_interval(secs => ${member.slowModeSeconds})
      )
    returning room_id, user_id, role, muted_until`;
}

function publishSent(app: App, { roomId, seq, authorId: actorId, id: subjectId, createdAt }: Message): void {
  publishRoomEvent(app, { roomId, seq, kind: "MESSAGE_SENT", actorId, subjectId, data: null, createdAt });
}

/** What was sent first with the draft's `clientMessageId`, if anything was. Throws IDEMPOTENCY_MISMATCH. */
async function findSent(app: App, member: Member, draft: Draft): Promise<Message | null> {
  if (draft.clientMessageId === null) return null;
  const [sent] = await app.sql<(Message & { isSame: boolean })[]>`
    select *, request_hash = ${draft.requestHash} as is_same
    from messages
    where author_id = ${member.userId}
      and client_message_id = ${draft.clientMessageId}`;
  if (sent?.isSame) publishSent(app, sent); // whoever stored it may have been lost before telling of it
  if (sent === undefined || sent.isSame) return sent ?? null;
  throw new AppError(
    "IDEMPOTENCY_MISMATCH",
    "Cannot send the message: its `clientMessageId` was used for another one",
    { path: ["clientMessageId"] },
  );
}
