/** Messages to be sent later: making, changing and canceling them. `messages/scheduler.ts` sends them. */
import { createHash } from "node:crypto";
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { cursorOf, type Keyset, readPage } from "../platform/keyset.ts";
import { commaSeparated, type Fragment, isViolationOf, type Sql } from "../platform/sql.ts";
import { limitKey, lockMember, type Member, notAMember } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { listScheduledAttachments } from "../uploads/attachments.ts";
import { appendViewerEvents, publishViewerEvents } from "../users/viewer_events.ts";
import { findMissingFile, holdFiles, lockUnsent, releaseFiles } from "./attached_files.ts";
import { parseAttachmentIds, parseClientMessageId, parseContent } from "./drafts.ts";
import { noSuchMessage } from "./messages.ts";

const AHEAD_DAYS_MAX = 366;
/** Waiting messages of one author. */
const PENDING_MAX = 100;

export type ScheduledMessageStatus = "PENDING" | "SENT" | "CANCELED" | "FAILED";

export interface ScheduledMessage {
  readonly id: string;
  readonly roomId: string;
  readonly authorId: string;
  /** Markdown. */
  readonly content: string;
  readonly replyToId: string | null;
  readonly clientMessageId: string | null;
  readonly sendAt: Date;
  readonly status: ScheduledMessageStatus;
  readonly sentMessageId: string | null;
  readonly failureReason: ErrorCode | null;
  /** Until when a node has it for sending; changing it takes it away from that node. */
  readonly claimedUntil: Date | null;
  readonly createdAt: Date;
}

export interface ScheduleInput {
  readonly content: string;
  /** Uploaded files, in order; `null` for a text that is no attachment id. */
  readonly attachmentIds?: readonly (string | null)[] | null | undefined;
  readonly sendAt: Date;
  /** `null` for a text that is no message id. */
  readonly replyToId?: string | null | undefined;
  readonly clientMessageId?: string | null | undefined;
}

/** Schedules a message and returns it. A repeated `clientMessageId` returns the first one. Throws FORBIDDEN, NOT_A_MEMBER,
 * EMPTY, TOO_LONG, INVALID_INPUT, NOT_SCHEDULABLE, NOT_FOUND, IDEMPOTENCY_MISMATCH, RATE_LIMITED. */
export async function scheduleMessage(app: App, member: Member, input: ScheduleInput): Promise<ScheduledMessage> {
  requirePermission(member, "SEND_MESSAGES", "roomId");
  const draft = parseDraft(app, member, input);
  await app.limits.take("send", limitKey(member));
  try {
    const scheduled = await insertScheduled(app, member, draft);
    return scheduled ?? await findScheduled(app, member, draft) ?? await explainRefusal(app, member, draft);
  } catch (error) {
    if (!isViolationOf(error, "scheduled_messages_client_message_id_key")) throw error;
    return await findScheduled(app, member, draft) ?? await explainRefusal(app, member, draft);
  }
}

export interface RescheduleInput {
  readonly scheduledMessageId: string | null;
  readonly content?: string | null | undefined;
  readonly sendAt?: Date | null | undefined;
}

/** Changes what is given of a message that still waits. Throws NOT_FOUND, NOT_SCHEDULABLE, EMPTY, TOO_LONG, INVALID_INPUT. */
export async function updateScheduledMessage(
  app: App,
  viewer: Viewer,
  { scheduledMessageId, content, sendAt }: RescheduleInput,
): Promise<ScheduledMessage> {
  const { sql } = app;
  const changes = sql`
    content = ${content === undefined ? sql`content` : await parseNewContent(app, scheduledMessageId, content ?? "")},
    send_at = ${sendAt === undefined || sendAt === null ? sql`send_at` : parseSendAt(sendAt)}`;
  return await change(app, viewer, { scheduledMessageId, changes, from: ["PENDING"] });
}

/** Cancels a message that still waits, or puts away one that failed. Throws NOT_FOUND, NOT_SCHEDULABLE. */
export async function cancelScheduledMessage(
  app: App,
  viewer: Viewer,
  scheduledMessageId: string | null,
): Promise<ScheduledMessage> {
  const changes = app.sql`status = 'CANCELED'`;
  return await change(app, viewer, { scheduledMessageId, changes, from: ["PENDING", "FAILED"] });
}

/** Those of the viewer's own, in any order. */
export async function listScheduledMessages(
  app: App,
  viewer: Pick<Viewer, "userId">,
  ids: readonly string[],
): Promise<ScheduledMessage[]> {
  return await app.sql<ScheduledMessage[]>`
    select *
    from scheduled_messages
    where id = any(${ids as string[]}::uuid[])
      and author_id = ${viewer.userId}`;
}

const SCHEDULED: Omit<Keyset<ScheduledMessage>, "rows"> = {
  name: "viewer.scheduledMessages",
  key: [["send_at", "timestamptz"], ["id", "uuid"]],
  keyOf: ({ sendAt, id }) => [sendAt.toISOString(), id],
};

/** The viewer's messages that wait or have failed, next first; of one room, where it is given. Throws BAD_USER_INPUT. */
export async function pageScheduledMessages(
  app: App,
  viewer: Viewer,
  { roomId, page }: { readonly roomId: string | null | undefined; readonly page: Page },
): Promise<Connection<ScheduledMessage>> {
  const rows = app.sql`
    select *
    from scheduled_messages
    where author_id = ${viewer.userId}
      and status in ('PENDING', 'FAILED')
      and ${roomId === undefined ? app.sql`true` : app.sql`room_id = ${roomId}`}`;
  return await readPage(app.sql, { ...SCHEDULED, rows }, page);
}

/** Position of a scheduled message in `viewer.scheduledMessages`. */
export function scheduledMessageCursor(scheduled: ScheduledMessage): string {
  return cursorOf(SCHEDULED, scheduled);
}

/** Changes scheduled messages by the statement `changed`, which returns their rows, and tells their authors. The same statement
 * may have parts `before` it and, with its rows in `scheduled`, `after` it. */
export async function changeScheduled(
  app: App,
  changed: Fragment,
  { before = [], after = [] }: { readonly before?: readonly Fragment[]; readonly after?: readonly Fragment[] } = {},
): Promise<ScheduledMessage[]> {
  const { sql } = app;
  const parts = commaSeparated(sql, [...before, sql`scheduled as (${changed})`, ...after]);
  const scheduled = await sql<ScheduledMessage[]>`
    with ${parts}, news as (${scheduledNews(sql, "scheduled")}
    ), ${appendViewerEvents(app)}
    select * from scheduled`;
  publishViewerEvents(app, scheduled.map(({ authorId }) => authorId));
  return scheduled;
}

/** What `news` says of the scheduled messages in a part of the same statement. */
export function scheduledNews(sql: Sql, part: "scheduled" | "settled"): Fragment {
  return sql`
      select author_id as user_id, 'SCHEDULED_MESSAGE_UPDATED' as kind, id as subject_id, null::jsonb as data
      from ${sql(part)}`;
}

interface Draft {
  readonly content: string;
  readonly attachmentIds: readonly string[];
  readonly replyToId: string | null;
  readonly clientMessageId: string | null;
  readonly requestHash: Uint8Array;
  readonly sendAt: Date;
}

function parseDraft(app: App, member: Member, input: ScheduleInput): Draft {
  const attachmentIds = parseAttachmentIds(input.attachmentIds);
  const content = parseContent(app, input.content, { attachmentCount: attachmentIds.length });
  const clientMessageId = parseClientMessageId(input.clientMessageId);
  const sendAt = parseSendAt(input.sendAt);
  if (input.replyToId === null) throw noSuchMessage("replyToId");
  const { replyToId = null } = input;
  // The same bytes as ever for a message without files: a retry may come after an upgrade.
  const files = attachmentIds.length > 0 ? [attachmentIds] : [];
  const hashed = JSON.stringify([member.roomId, content, replyToId, sendAt, ...files]);
  return {
    content,
    attachmentIds,
    replyToId,
    clientMessageId,
    sendAt,
    requestHash: createHash("sha256").update(hashed).digest(),
  };
}

function parseSendAt(sendAt: Date): Date {
  const aheadMs = sendAt.getTime() - Date.now();
  if (aheadMs <= 0) {
    throw new AppError("NOT_SCHEDULABLE", "Cannot schedule the message: the time is in the past", { path: ["sendAt"] });
  }
  if (aheadMs > AHEAD_DAYS_MAX * 86_400_000) {
    throw new AppError("INVALID_INPUT", "Cannot schedule the message: the time is more than a year ahead", {
      path: ["sendAt"],
    });
  }
  return sendAt;
}

async function insertScheduled(app: App, member: Member, draft: Draft): Promise<ScheduledMessage | undefined> {
  const { content, attachmentIds, replyToId, clientMessageId, requestHash, sendAt } = draft;
  const files = { attachmentIds, scheduledMessageId: null };
  const [scheduled] = await changeScheduled(
    app,
    app.sql`
      insert into scheduled_messages
        (id, room_id, author_id, content, reply_to_id, client_message_id, request_hash, send_at)
      select ${newId()}, room_id, user_id, ${content}, ${replyToId}::uuid, ${clientMessageId}, ${requestHash}, ${sendAt}
      from (${lockMember(app, member)}) as member
      where (${replyToId}::uuid is null or ${isInRoom(app, member, replyToId)})
        and ${countPending(app, member)} < ${PENDING_MAX}
        and (select count(*) from attachment) = ${attachmentIds.length}
      returning *`,
    {
      before: [app.sql`attachment as (${lockUnsent(app, member, files)})`],
      after: [app.sql`held as (${holdFiles(app)})`],
    },
  );
  return scheduled;
}

async function findScheduled(app: App, member: Member, draft: Draft): Promise<ScheduledMessage | null> {
  if (draft.clientMessageId === null) return null;
  const [found] = await app.sql<(ScheduledMessage & { isSame: boolean })[]>`
    select *, request_hash = ${draft.requestHash} as is_same
    from scheduled_messages
    where author_id = ${member.userId}
      and client_message_id = ${draft.clientMessageId}`;
  if (found === undefined || found.isSame) return found ?? null;
  throw new AppError(
    "IDEMPOTENCY_MISMATCH",
    "Cannot schedule the message: its `clientMessageId` was used for another one",
    { path: ["clientMessageId"] },
  );
}

async function explainRefusal(app: App, member: Member, { replyToId, attachmentIds }: Draft): Promise<never> {
  const [state] = await app.sql<{ isMember: boolean; isQuotable: boolean; pending: number }[]>`
    select exists (select from members where id = ${member.id}) as is_member,
      ${replyToId}::uuid is null or ${isInRoom(app, member, replyToId)} as is_quotable,
      ${countPending(app, member)} as pending`;
  if (!state?.isMember) throw notAMember();
  if (!state.isQuotable) throw noSuchMessage("replyToId");
  const missing = await findMissingFile(app, member, { attachmentIds, scheduledMessageId: null });
  if (missing !== null) throw missing;
  throw new AppError("TOO_LONG", `Cannot schedule the message: ${PENDING_MAX} of yours are waiting`, {
    limit: PENDING_MAX,
  });
}

function isInRoom({ sql }: App, { roomId }: Member, messageId: string | null): Fragment {
  return sql`exists (select from messages where id = ${messageId} and room_id = ${roomId})`;
}

function countPending({ sql }: App, { userId }: Member): Fragment {
  return sql`(select count(*) from scheduled_messages where author_id = ${userId} and status = 'PENDING')`;
}

interface Change {
  readonly scheduledMessageId: string | null;
  readonly changes: Fragment;
  readonly from: readonly ScheduledMessageStatus[];
}

async function parseNewContent(app: App, scheduledMessageId: string | null, content: string): Promise<string> {
  const [attachments = []] = scheduledMessageId ? await listScheduledAttachments(app, [scheduledMessageId]) : [];
  return parseContent(app, content, { attachmentCount: attachments.length });
}

/** Also while a node has it for sending, which slow mode can make hours: the claim is gone then, and with it the right to send
 * what that node has read. */
async function change(
  app: App,
  viewer: Viewer,
  { scheduledMessageId, changes, from }: Change,
): Promise<ScheduledMessage> {
  const [changed] = await changeScheduled(
    app,
    app.sql`
      update scheduled_messages
      set ${changes},
        claimed_until = null
      where id = ${scheduledMessageId}
        and author_id = ${viewer.userId}
        and status = any(${from as string[]}::text[])
      returning *`,
    { after: [app.sql`released as (${releaseFiles(app)})`] },
  );
  if (changed !== undefined) return changed;
  const [existing] = scheduledMessageId === null ? [] : await listScheduledMessages(app, viewer, [scheduledMessageId]);
  if (existing === undefined) {
    throw new AppError("NOT_FOUND", "Cannot find the scheduled message: there is none of yours with this id", {
      path: ["scheduledMessageId"],
    });
  }
  const state = `it is ${existing.status.toLowerCase()} already`;
  throw new AppError("NOT_SCHEDULABLE", `Cannot change the scheduled message: ${state}`, {
    path: ["scheduledMessageId"],
  });
}
