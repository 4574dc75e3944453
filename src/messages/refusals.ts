/** Why a message could not be sent: found out afterwards, so that sending costs one statement when nothing is wrong. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";
import { type Member, requireMember } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { isBlocked } from "../users/blocks.ts";
import { findMissingFile } from "./attached_files.ts";
import type { Draft } from "./drafts.ts";
import { listMessages, noSuchMessage } from "./messages.ts";

/** Whether the member is alone with one other in the room and one of the two has blocked the other, as a condition. */
export function isFacingBlock(app: App, member: Member): Fragment {
  const { sql } = app;
  const other = sql`other.user_id`;
  return sql`(
    select count(*) = 1 and bool_or(${isBlocked(app, other, sql`${member.userId}::uuid`)})
    from members as other
    where other.room_id = ${member.roomId}
      and other.user_id <> ${member.userId}
  )`;
}

/** The reason why the statement sent nothing. Throws NOT_FOUND, NOT_A_MEMBER, FORBIDDEN. */
export async function explainRefusal(
  app: App,
  { userId, roomId }: Member,
  { replyToId, threadRootId, attachmentIds, claim }: Draft,
): Promise<AppError> {
  const { sql } = app;
  const member = await requireMember(app, { userId }, roomId);
  requirePermission(member, "SEND_MESSAGES", "roomId");
  const found = await listMessages(app, [replyToId, threadRootId].filter((id) => id !== null));
  const isMissing = (id: string | null) =>
    id !== null && !found.some((each) => each.id === id && each.roomId === roomId);
  if (isMissing(replyToId)) return noSuchMessage("replyToId");
  if (isMissing(threadRootId)) return noSuchMessage("threadRootId");
  if (found.some((each) => each.id === threadRootId && each.threadRootId !== null)) {
    return new AppError("INVALID_INPUT", "Cannot send the message: a reply in a thread starts no thread of its own", {
      path: ["threadRootId"],
    });
  }
  const missing = await findMissingFile(app, member, {
    attachmentIds,
    scheduledMessageId: claim?.scheduledMessageId ?? null,
  });
  if (missing !== null) return missing;
  const [state] = await sql<{ isBlocked: boolean; waitMs: number }[]>`
    select ${member.roomKind === "DIRECT" ? isFacingBlock(app, member) : sql`false`} as is_blocked,
      case when role = 'MEMBER' and last_sent_at is not null
        then ceil(1000 * greatest(0, ${member.slowModeSeconds} - extract(epoch from now() - last_sent_at)))::int
        else 0
      end as wait_ms
    from members
    where id = ${member.id}`;
  if (state?.isBlocked) {
    return new AppError("BLOCKED", "Cannot send the message: one of you has blocked the other", { path: ["roomId"] });
  }
  if (claim !== null && !(state && state.waitMs > 0)) {
    return new AppError("NOT_SCHEDULABLE", "Cannot send the message: it was already sent or canceled");
  }
  const retryAfterMs = Math.max(1, state?.waitMs ?? 0); // over in the meantime: the next try succeeds
  if (member.slowModeSeconds === 0) {
    return new AppError("UNAVAILABLE", "Cannot send the message: the room has just changed", { retryAfterMs });
  }
  const reason = `the room is in slow mode, wait ${Math.ceil(retryAfterMs / 1000)} s`;
  return new AppError("SLOW_MODE", `Cannot send the message: ${reason}`, { retryAfterMs });
}
