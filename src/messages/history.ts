/** The past of a room: keyset pages on the numbers of the log, exact in both directions. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { encodeEventCursor, parseEventCursor } from "../lib/event_cursors.ts";
import { type Connection, type Page, PAGE_SIZE_DEFAULT, type PageArgs, parsePage } from "../lib/pages.ts";
import { type CursorCodec, readPage } from "../platform/keyset.ts";
import type { Member } from "../rooms/members.ts";
import type { Message } from "./messages.ts";

const AROUND_SIZE_DEFAULT = 25;

export interface HistoryArgs extends PageArgs {
  /** Message to center the page on; `null` for a text that is no message id. */
  readonly around?: string | null | undefined;
}

/** Messages of the room, always oldest to newest; without arguments the newest 50. Throws BAD_USER_INPUT, and NOT_FOUND
 * for an `around` that is not a message of this room. */
export async function pageMessages(app: App, member: Member, args: HistoryArgs): Promise<Connection<Message>> {
  if (args.around !== undefined) return await pageAround(app, member, args);
  if (isGiven(args.first) && isGiven(args.last)) {
    throw new AppError("BAD_USER_INPUT", "Cannot read the page: give `first` or `last`, not both");
  }
  const isPlain = !isGiven(args.first) && !isGiven(args.last);
  const size = isPlain ? { [isGiven(args.after) ? "first" : "last"]: PAGE_SIZE_DEFAULT } : {};
  return await readMessages(app, member, parsePage({ ...args, ...size }));
}

async function pageAround(app: App, member: Member, args: HistoryArgs): Promise<Connection<Message>> {
  if (isGiven(args.after) || isGiven(args.before)) {
    throw new AppError("BAD_USER_INPUT", "Cannot read the page: `around` goes without `after` and `before`");
  }
  const before = parsePage({ last: args.last ?? AROUND_SIZE_DEFAULT });
  const after = parsePage({ first: args.first ?? AROUND_SIZE_DEFAULT });
  const [center] = await app.sql<Message[]>`
    select *
    from messages
    where id = ${args.around ?? null}
      and room_id = ${member.roomId}`;
  if (center === undefined) {
    throw new AppError("NOT_FOUND", "Cannot read the page: `around` is not a message of this room");
  }
  const [older, newer] = await Promise.all([
    readMessages(app, member, { ...before, before: encodeEventCursor(member.epoch, center.seq + 1) }),
    readMessages(app, member, { ...after, after: encodeEventCursor(member.epoch, center.seq) }),
  ]);
  const edges = [...older.edges, ...newer.edges];
  return {
    edges,
    pageInfo: {
      hasPreviousPage: older.pageInfo.hasPreviousPage,
      hasNextPage: newer.pageInfo.hasNextPage,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

async function readMessages(app: App, member: Member, page: Page): Promise<Connection<Message>> {
  return await readPage<Message>(app.sql, {
    name: "room.messages",
    rows: app.sql`select * from messages where room_id = ${member.roomId}`,
    key: [["seq", "bigint"]],
    keyOf: (message) => [message.seq],
    codec: historyCodec(member),
  }, page);
}

/** A message's place in history is the cursor of the event that sent it. */
function historyCodec({ epoch }: Member): CursorCodec {
  return {
    encode: ([seq]) => encodeEventCursor(epoch, Number(seq)),
    decode(text) {
      const cursor = parseEventCursor(text);
      if (cursor.epoch !== epoch) { // it would point to an arbitrary place of this room
        throw new AppError("BAD_USER_INPUT", "Cannot read the page: the cursor belongs to another room");
      }
      return [cursor.seq];
    },
  };
}

function isGiven(value: unknown): boolean {
  return value !== null && value !== undefined;
}
