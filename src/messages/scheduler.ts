/** Sends what is due. A message is claimed for a moment by one node, then sent and marked as sent by one statement: killed in
 * between, it is claimed again; canceled or changed meanwhile, it is not sent. */
import type { App } from "../app.ts";
import { AppError, isRefusal } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";
import { oneAtATime, repeat } from "../platform/timers.ts";
import { requireMember } from "../rooms/members.ts";
import { listScheduledAttachments } from "../uploads/attachments.ts";
import type { Claim } from "./drafts.ts";
import { changeScheduled, type ScheduledMessage, scheduledNews } from "./scheduled_messages.ts";
import { sendMessage } from "./send.ts";

const POLL_MS = 1_000;
/** How long a node has to send what it claimed. One that takes longer finds that it has lost the claim. */
const CLAIM_SECONDS = 10;
/** Messages claimed at once. */
const CLAIMED_MAX = 20;

/** Refusals that pass by themselves: the message stays due. */
const PASSING: readonly string[] = ["RATE_LIMITED", "SLOW_MODE"];

/** Sends what is due as long as the app runs. */
export function keepSchedule(app: App): AsyncDisposable {
  const poll = oneAtATime(async () => {
    while (await sendDue(app) === CLAIMED_MAX);
  });
  return repeat(POLL_MS, () => app.background(poll()));
}

/** Sends what is due now and returns how many messages this node took. */
export async function sendDue(app: App): Promise<number> {
  const due = await app.sql<ScheduledMessage[]>`
    update scheduled_messages
    set claimed_until = now() + make_interval(secs => ${CLAIM_SECONDS})
    where id in (
      select id
      from scheduled_messages
      where status = 'PENDING'
        and send_at <= now()
        and (claimed_until is null or claimed_until < now())
      order by send_at
      limit ${CLAIMED_MAX}
      for update skip locked
    )
    returning *`;
  await Promise.all(due.map((scheduled) => sendScheduled(app, scheduled)));
  return due.length;
}

async function sendScheduled(app: App, scheduled: ScheduledMessage): Promise<void> {
  const { id, roomId, authorId, content, replyToId, clientMessageId } = scheduled;
  try {
    await requireActive(app, authorId);
    const member = await requireMember(app, { userId: authorId }, roomId);
    const [attachments = []] = await listScheduledAttachments(app, [id]);
    const attachmentIds = attachments.map((attachment) => attachment.id);
    const claim = claimOf(app, scheduled);
    const input = { content, attachmentIds, replyToId: replyToId ?? undefined, clientMessageId, claim };
    const message = await sendMessage(app, member, input);
    // Its author has sent the same by hand, under the same `clientMessageId`: that is the message.
    if (clientMessageId !== null) {
      await settle(app, scheduled, app.sql`status = 'SENT', sent_message_id = ${message.id}`);
    }
  } catch (error) {
    if (!isRefusal(error)) {
      app.log.warn("Cannot send a scheduled message now, trying again", { id, error });
      return; // once the claim has run out
    }
    if (isOfFiles(error)) return await release(app, scheduled, 0); // one was just deleted: it goes without
    if (error.code === "NOT_SCHEDULABLE") return; // canceled or changed meanwhile, or nothing is in its way any more
    if (PASSING.includes(error.code)) return await release(app, scheduled, error.details.retryAfterMs ?? 0);
    await settle(app, scheduled, app.sql`status = 'FAILED', failure_reason = ${error.code}`);
  }
}

function isOfFiles({ code, details }: AppError): boolean {
  return code === "NOT_FOUND" && details.path?.[0] === "attachmentIds";
}

/** Marks it as sent in the statement that sends it, and only if it is still this node's. */
function claimOf({ sql }: App, { id, claimedUntil }: ScheduledMessage): Claim {
  return {
    scheduledMessageId: id,
    lock: sql`
      select id
      from scheduled_messages
      where id = ${id}
        and status = 'PENDING'
        and claimed_until = ${claimedUntil}
      for update`,
    settle: sql`
      update scheduled_messages
      set status = 'SENT',
        sent_message_id = message.id,
        claimed_until = null
      from claimed, message
      where scheduled_messages.id = claimed.id
      returning scheduled_messages.author_id, scheduled_messages.id`,
    news: scheduledNews(sql, "settled"),
  };
}

/** Sets how it ended, unless it has ended or was taken away from this node. */
async function settle(app: App, { id, claimedUntil }: ScheduledMessage, end: Fragment): Promise<void> {
  await changeScheduled(
    app,
    app.sql`
      update scheduled_messages
      set ${end},
        claimed_until = null
      where id = ${id}
        and status = 'PENDING'
        and claimed_until = ${claimedUntil}
      returning *`,
  );
}

async function requireActive(app: App, userId: string): Promise<void> {
  const [user] = await app.sql`
    select
    from users
    where id = ${userId}
      and suspended_at is null
      and deleted_at is null`;
  if (user === undefined) {
    throw new AppError("ACCOUNT_SUSPENDED", "Cannot send the message: the account is suspended");
  }
}

/** Lets another try have it after the time that the refusal asks for. */
async function release(app: App, { id, claimedUntil }: ScheduledMessage, afterMs: number): Promise<void> {
  await app.sql`
    update scheduled_messages
    set claimed_until = now() + make_interval(secs => ${Math.min(CLAIM_SECONDS, afterMs / 1000)})
    where id = ${id}
      and claimed_until = ${claimedUntil}`;
}
