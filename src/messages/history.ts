/** The past of a room and of its threads: keyset pages on the numbers of the log, exact in both directions. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { encodeEventCursor, parseEventCursor } from "../lib/event_cursors.ts";
import { type Connection, type Page, PAGE_SIZE_DEFAULT, type PageArgs, parsePage } from "../lib/pages.ts";
import { type CursorCodec, readPage } from "../platform/keyset.ts";
import type { Fragment } from "../platform/sql.ts";
import type { Member } from "../rooms/members.ts";
import type { Message } from "./messages.ts";

const AROUND_SIZE_DEFAULT = 25;

export interface HistoryArgs extends PageArgs {
  /** Message to center the page on; `null` for a text that is no message id. */
  readonly around?: string | null | undefined;
}

/** Messages of the room's main timeline, always oldest to newest; without arguments the newest 50. Throws BAD_USER_INPUT, and
 * NOT_FOUND for an `around` that is not among them. */
export async function pageMessages(app: App, member: Member, args: HistoryArgs): Promise<Connection<Message>> {
  if (args.around !== undefined) return await pageAround(app, member, args);
  return await readMessages(app, mainTimeline(app, member), parseHistoryPage(args));
}

/** Replies in the thread that the message starts, oldest to newest; without arguments the newest 50. `epoch` is that of the
 * room's log. Throws BAD_USER_INPUT. */
export async function pageReplies(
  app: App,
  root: Pick<Message, "id">,
  { epoch, ...args }: PageArgs & { readonly epoch: string },
): Promise<Connection<Message>> {
  const rows = app.sql`select * from messages where thread_root_id = ${root.id}`;
  return await readMessages(app, { name: "message.replies", rows, epoch }, parseHistoryPage(args));
}

interface Timeline {
  readonly name: string;
  readonly rows: Fragment;
  readonly epoch: string;
}

function mainTimeline({ sql }: App, { roomId, epoch }: Member): Timeline {
  const rows = sql`select * from messages where room_id = ${roomId} and thread_root_id is null`;
  return { name: "room.messages", rows, epoch };
}

function parseHistoryPage(args: PageArgs): Page {
  if (isGiven(args.first) && isGiven(args.last)) {
    throw new AppError("BAD_USER_INPUT", "Cannot read the page: give `first` or `last`, not both");
  }
  const isPlain = !isGiven(args.first) && !isGiven(args.last);
  const size = isPlain ? { [isGiven(args.after) ? "first" : "last"]: PAGE_SIZE_DEFAULT } : {};
  return parsePage({ ...args, ...size });
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
      and room_id = ${member.roomId}
      and thread_root_id is null`;
  if (center === undefined) {
    throw new AppError("NOT_FOUND", "Cannot read the page: `around` is not a message of this room's main timeline");
  }
  const timeline = mainTimeline(app, member);
  const [older, newer] = await Promise.all([
    readMessages(app, timeline, { ...before, before: encodeEventCursor(member.epoch, center.seq + 1) }),
    readMessages(app, timeline, { ...after, after: encodeEventCursor(member.epoch, center.seq) }),
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

async function readMessages(app: App, { name, rows, epoch }: Timeline, page: Page): Promise<Connection<Message>> {
  return await readPage<Message>(app.sql, {
    name,
    rows,
    key: [["seq", "bigint"]],
    keyOf: (message) => [message.seq],
    codec: historyCodec(epoch),
  }, page);
}

/** A message's place in history is the cursor of the event that sent it. */
function historyCodec(epoch: string): CursorCodec {
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
