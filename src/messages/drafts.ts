/** What is to be sent: the input, checked as far as that goes without the room. */
import { createHash } from "node:crypto";
import type { App } from "../app.ts";
import { ATTACHMENTS_PER_MESSAGE_MAX } from "../config.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { optionalText, requireExactText, requireText } from "../lib/texts.ts";
import type { Fragment } from "../platform/sql.ts";
import type { Member } from "../rooms/members.ts";
import { noSuchAttachment } from "../uploads/attachments.ts";
import { type Mentions, parseMentions } from "./mentions.ts";
import { noSuchMessage } from "./messages.ts";

const CLIENT_MESSAGE_ID_MAX = 64;

export interface SendInput {
  readonly content?: string | null | undefined;
  /** Uploaded files, in order; `null` for a text that is no attachment id. */
  readonly attachmentIds?: readonly (string | null)[] | null | undefined;
  readonly clientMessageId?: string | null | undefined;
  /** Message to quote; `null` for a text that is no message id. */
  readonly replyToId?: string | null | undefined;
  /** Message whose thread it goes into; `null` for a text that is no message id. */
  readonly threadRootId?: string | null | undefined;
  readonly claim?: Claim | undefined;
}

/** Something that is used up by the message, so that it is sent once: all of it happens in the message's own statement. */
export interface Claim {
  /** The scheduled message whose files these are. */
  readonly scheduledMessageId: string;
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
  readonly attachmentIds: readonly string[];
  readonly clientMessageId: string | null;
  readonly replyToId: string | null;
  readonly threadRootId: string | null;
  readonly mentions: Mentions;
  readonly requestHash: Uint8Array;
  readonly claim: Claim | null;
}

/** Throws NOT_FOUND, EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseDraft(app: App, member: Member, input: SendInput): Draft {
  const attachmentIds = parseAttachmentIds(input.attachmentIds);
  const content = parseContent(app, input.content ?? "", { attachmentCount: attachmentIds.length });
  const clientMessageId = parseClientMessageId(input.clientMessageId);
  const { replyToId = null, threadRootId = null } = input;
  if (input.replyToId === null) throw noSuchMessage("replyToId");
  if (input.threadRootId === null) throw noSuchMessage("threadRootId");
  const rest = Object.entries({ replyToId, threadRootId, attachmentIds }).filter(([, value]) =>
    value && value.length > 0
  );
  return {
    id: newId(),
    content,
    attachmentIds,
    clientMessageId,
    replyToId,
    threadRootId,
    mentions: parseMentions(content),
    // The same bytes as ever for a plain message: a retry may come after an upgrade.
    requestHash: createHash("sha256").update(JSON.stringify([member.roomId, content, ...rest])).digest(),
    claim: input.claim ?? null,
  };
}

/** The content as it is stored; files may do without. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseContent(
  { config }: App,
  content: string,
  { attachmentCount }: { readonly attachmentCount: number },
): string {
  if (attachmentCount > 0) return optionalText("content", content, config.maxMessageLength) ?? "";
  return requireText("content", content, config.maxMessageLength);
}

/** Throws NOT_FOUND, TOO_LONG, INVALID_INPUT. */
export function parseAttachmentIds(ids: readonly (string | null)[] | null | undefined): string[] {
  const found = (ids ?? []).map((id, index) => id ?? throwNoSuchAttachment(index));
  if (found.length > ATTACHMENTS_PER_MESSAGE_MAX) {
    throw new AppError(
      "TOO_LONG",
      `Cannot attach the files: there are ${found.length}, the limit is ${ATTACHMENTS_PER_MESSAGE_MAX}`,
      { path: ["attachmentIds"], limit: ATTACHMENTS_PER_MESSAGE_MAX },
    );
  }
  const again = found.findIndex((id, index) => found.indexOf(id) < index);
  if (again < 0) return found;
  throw new AppError("INVALID_INPUT", "Cannot attach the files: one is there twice", {
    path: ["attachmentIds", String(again)],
  });
}

function throwNoSuchAttachment(index: number): never {
  throw noSuchAttachment(["attachmentIds", String(index)]);
}

/** The id as it is; `null` where none is given. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseClientMessageId(id: string | null | undefined): string | null {
  return id === null || id === undefined ? null : requireExactText("clientMessageId", id, CLIENT_MESSAGE_ID_MAX);
}
