/** Following one room from a cursor: what a subscription to `roomEvents` is, whatever carries it. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { type EventCursor, parseEventCursor } from "../lib/event_cursors.ts";
import type { Follower, Renderer, RoomBatch } from "./fanout.ts";
import { holdRoom, type RoomHold } from "./room_holds.ts";
import type { RoomStream } from "./room_stream.ts";
import { type EndReason, LiveSubscription, type Sink } from "./subscriptions.ts";

export interface FollowInput {
  /** `null` for a text that is no room id. */
  readonly roomId: string | null;
  /** Last cursor seen; without one the stream begins now. */
  readonly after?: string | null | undefined;
}

/** A subscription that shares its executions with all who follow the room with the same operation. */
export class RoomSubscription extends LiveSubscription<RoomBatch, Renderer> {
  #isDone = false;

  constructor(
    private readonly app: App,
    private readonly hold: Pick<RoomHold, "attachment" | "release">,
    private readonly from: Omit<Follower, "renderer" | "sink">,
  ) {
    super();
    app.metrics.followers.inc();
  }

  start(renderer: Renderer, sink: Sink): void {
    if (this.#isDone) return;
    const end = (reason: EndReason) => {
      this.cancel();
      sink.end(reason);
    };
    this.hold.attachment.join({ ...this.from, renderer, sink: { ...sink, end } });
  }

  cancel(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.app.metrics.followers.dec();
    this.hold.release();
  }
}

/** Everything that happens in the room after `after`, then live; the first batch comes at once, even if it is empty.
 * Throws BAD_USER_INPUT, NOT_FOUND, NOT_A_MEMBER, RATE_LIMITED. */
export async function followRoom(app: App, viewer: Viewer, { roomId, after }: FollowInput): Promise<RoomSubscription> {
  await app.limits.take("subscribe", viewer.userId);
  const cursor = after === null || after === undefined ? null : parseEventCursor(after);
  const hold = await holdRoom(app, viewer, { roomId, cursor });
  try {
    const { member, head, reader } = hold;
    const { first, seq } = await findStart(hold.attachment.stream, { cursor, head });
    const from = { reader, readerSeq: head, joinedSeq: member.joinedSeq, first, cursor: seq };
    return new RoomSubscription(app, hold, from);
  } catch (error) {
    hold.release();
    throw error;
  }
}

export interface Start {
  readonly first: RoomBatch | null;
  readonly seq: number;
}

/** Where the stream begins: after the cursor, or at the head with a resync event if the cursor can't be honoured. */
export async function findStart(
  stream: RoomStream,
  { cursor, head }: { readonly cursor: EventCursor | null; readonly head: number },
): Promise<Start> {
  if (cursor === null) return { first: { cursor: stream.positionOf(head), events: [] }, seq: head };
  const isKnown = cursor.epoch === stream.epoch && cursor.seq <= head;
  if (isKnown && cursor.seq === head) return { first: { cursor: stream.positionOf(head), events: [] }, seq: head };
  const [next] = isKnown ? await stream.read(cursor.seq, cursor.seq + 1) : [];
  if (next?.seq === cursor.seq + 1) return { first: null, seq: cursor.seq };
  const event = stream.resyncEvent(head);
  return { first: { cursor: event.cursor, events: [event] }, seq: head };
}
