/** Mentions: which names a text calls, and whom they reach. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";
import type { Member } from "../rooms/members.ts";
import { isPermitted } from "../rooms/permissions.ts";
import { isBlocked } from "../users/blocks.ts";

/** Different names in one message: more is no conversation, and each is looked up. */
const MENTIONS_MAX = 50;

const MENTION = /(?<![\p{L}\p{N}_])@([a-z0-9_.]{3,})/giu;
const CODE_SPAN = /(?<![`\\])(`+)(?!`)[^]*?(?<!`)\1(?!`)/g;
const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;

export interface Mentions {
  /** Handles in lower case, each once. */
  readonly names: readonly string[];
  readonly everyone: boolean;
}

/** What `@` calls in a Markdown text, outside of code. Throws TOO_LONG. */
export function parseMentions(content: string): Mentions {
  const text = withoutFences(content).replace(CODE_SPAN, "``");
  const found = new Set([...text.matchAll(MENTION)].map(([, name = ""]) => name.toLowerCase().replace(/\.+$/, "")));
  const everyone = found.delete("everyone");
  if (found.size > MENTIONS_MAX) {
    const state = `it mentions ${found.size} names, the limit is ${MENTIONS_MAX}`;
    throw new AppError("TOO_LONG", `Cannot use \`content\`: ${state}`, { path: ["content"], limit: MENTIONS_MAX });
  }
  return { names: [...found], everyone };
}

/** The lines outside of fenced code blocks (CommonMark, 4.5). One that is not closed goes on to the end. */
function withoutFences(content: string): string {
  let fence = "";
  return content.split(/\r?\n/).map((line) => {
    const [, marks = "", rest = ""] = FENCE.exec(line) ?? [];
    if (fence !== "") {
      if (marks.startsWith(fence) && rest.trim() === "") fence = "";
      return "";
    }
    if (marks === "" || (marks.startsWith("`") && rest.includes("`"))) return line;
    fence = marks;
    return "";
  }).join("\n");
}

/** Value of `mentions_everyone`, from the part `member`: without the permission `@everyone` is plain text. */
export function reachesEveryone({ sql }: App, member: Member, { everyone }: Mentions): Fragment {
  return everyone ? sql`(select ${isPermitted(sql, member.roomKind, "MENTION_EVERYONE")} from member)` : sql`false`;
}

/** The part `mentioned` of a `with`: whom of the room the names reach, never the author nor where one has blocked the other. */
export function findMentioned(app: App, author: Member, { names }: Mentions): Fragment {
  const { sql } = app;
  return sql`
    mentioned as (
      select members.user_id
      from members
      join users on users.id = members.user_id
      where members.room_id = ${author.roomId}
        and users.username = any(${names as string[]}::text[])
        and users.id <> ${author.userId}
        and not ${isBlocked(app, sql`users.id`, sql`${author.userId}::uuid`)}
    )`;
}

/** The part `mention`, after `message` and `mentioned`: stores the mentions, and returns those that are new. */
export function insertMentions({ sql }: App): Fragment {
  return sql`
    mention as (
      insert into mentions (user_id, room_id, message_id, seq)
      select mentioned.user_id, message.room_id, message.id, message.seq from message, mentioned
      on conflict do nothing -- an edit that mentions them again
      returning user_id
    )`;
}

/** Who is mentioned by name in each of these messages, in their order. */
export async function listMentionedUsers(app: App, messageIds: readonly string[]): Promise<string[][]> {
  const mentions = await app.sql<{ messageId: string; userIds: string[] }[]>`
    select message_id, array_agg(user_id order by user_id) as user_ids
    from mentions
    where message_id = any(${messageIds as string[]}::uuid[])
    group by message_id`;
  return messageIds.map((id) => mentions.find(({ messageId }) => messageId === id)?.userIds ?? []);
}
