/** What messages have drawn: replies in threads, and reactions. One statement for both, because a screen shows both. */
import type { App } from "../app.ts";

/** All reactions with one emoji to one message. */
export interface ReactionGroup {
  readonly messageId: string;
  readonly emoji: string;
  /** Who reacted, oldest first. */
  readonly userIds: readonly string[];
}

export interface Responses {
  /** Tombstones too: they keep their place in the thread. */
  readonly replyCount: number;
  readonly lastReplyAt: Date | null;
  /** In order of first use. */
  readonly reactionGroups: readonly ReactionGroup[];
}

interface Row {
  readonly messageId: string;
  /** `null` in the row of a thread. */
  readonly emoji: string | null;
  readonly userIds: readonly string[] | null;
  readonly replyCount: number | null;
  readonly lastReplyAt: Date | null;
}

/** What each of these messages has drawn, in their order. */
export async function listResponses(app: App, messageIds: readonly string[]): Promise<Responses[]> {
  const rows = await app.sql<Row[]>`
    select thread_root_id as message_id,
      null as emoji,
      null::uuid[] as user_ids,
      count(*)::int as reply_count,
      max(created_at) as last_reply_at,
      0 as place
    from messages
    where thread_root_id = any(${messageIds as string[]}::uuid[])
    group by thread_root_id
    union all
    select message_id, emoji, array_agg(user_id order by seq), null, null, min(seq)
    from reactions
    where message_id = any(${messageIds as string[]}::uuid[])
    group by message_id, emoji
    order by place`;
  return messageIds.map((id) => {
    const own = rows.filter(({ messageId }) => messageId === id);
    const thread = own.find(({ replyCount }) => replyCount !== null);
    return {
      replyCount: thread?.replyCount ?? 0,
      lastReplyAt: thread?.lastReplyAt ?? null,
      reactionGroups: own.flatMap(({ emoji, userIds }) => emoji && userIds ? [{ messageId: id, emoji, userIds }] : []),
    };
  });
}
