/** What is to be sent: the input, checked as far as that goes without the room. */
import { createHash } from "node:crypto";
import type { App } from "../app.ts";
import { newId } from "../lib/ids.ts";
import { requireExactText, requireText } from "../lib/texts.ts";
import type { Fragment } from "../platform/sql.ts";
import type { Member } from "../rooms/members.ts";
import { type Mentions, parseMentions } from "./mentions.ts";
import { noSuchMessage } from "./messages.ts";

const CLIENT_MESSAGE_ID_MAX = 64;

export interface SendInput {
  readonly content?: string | null | undefined;
  readonly clientMessageId?: string | null | undefined;
  /** Message to quote; `null` for a text that is no message id. */
  readonly replyToId?: string | null | undefined;
  /** Message whose thread it goes into; `null` for a text that is no message id. */
  readonly threadRootId?: string | null | undefined;
  readonly claim?: Claim | undefined;
}

/** Something that is used up by the message, so that it is sent once: all of it happens in the message's own statement. */
export interface Claim {
  /** Select of one row, under a lock taken before all others; without a row nothing is sent. */
  readonly lock: Fragment;
  /** Update that uses it up, from the parts `claimed` (what `lock` returned) and `message`. */
  readonly settle: Fragment;
  /** Select of `user_id, kind, subject_id, data` from the part `settled` (what `settle` returned). */
  readonly news: Fragment;
}

export interface Draft {
  readonly id: string;
  readonly content: string;
  readonly clientMessageId: string | null;
  readonly replyToId: string | null;
  readonly threadRootId: string | null;
  readonly mentions: Mentions;
  readonly requestHash: Uint8Array;
  readonly claim: Claim | null;
}

/** Throws NOT_FOUND, EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseDraft(app: App, member: Member, input: SendInput): Draft {
  const content = parseContent(app, input.content ?? "");
  const clientMessageId = parseClientMessageId(input.clientMessageId);
  const { replyToId = null, threadRootId = null } = input;
  if (input.replyToId === null) throw noSuchMessage("replyToId");
  if (input.threadRootId === null) throw noSuchMessage("threadRootId");
  const places = Object.entries({ replyToId, threadRootId }).filter(([, id]) => id !== null);
  return {
    id: newId(),
    content,
    clientMessageId,
    replyToId,
    threadRootId,
    mentions: parseMentions(content),
    // The same bytes as ever for a plain message: a retry may come after an upgrade.
    requestHash: createHash("sha256").update(JSON.stringify([member.roomId, content, ...places])).digest(),
    claim: input.claim ?? null,
  };
}

/** The content as it is stored. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseContent(app: App, content: string): string {
  return requireText("content", content, app.config.maxMessageLength);
}

/** The id as it is; `null` where none is given. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseClientMessageId(id: string | null | undefined): string | null {
  return id === null || id === undefined ? null : requireExactText("clientMessageId", id, CLIENT_MESSAGE_ID_MAX);
}
