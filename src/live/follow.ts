/** Following one room from a cursor: what a subscription to `roomEvents` is, whatever carries it. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { type EventCursor, parseEventCursor } from "../lib/event_cursors.ts";
import { noSuchRoom, requireMember } from "../rooms/members.ts";
import type { EndReason, Follower, Renderer, RoomBatch, Sink } from "./fanout.ts";
import { type Attachment, liveRooms } from "./live_rooms.ts";
import type { RoomStream } from "./room_stream.ts";

export interface FollowInput {
  /** `null` for a text that is no room id. */
  readonly roomId: string | null;
  /** Last cursor seen; without one the stream begins now. */
  readonly after?: string | null | undefined;
}

/** A checked subscription that waits for its transport. Call `start` once, or `cancel`. */
export class RoomSubscription implements AsyncIterable<RoomBatch> {
  #isDone = false;

  constructor(
    private readonly app: App,
    private readonly attachment: Attachment,
    private readonly from: Omit<Follower, "renderer" | "sink">,
  ) {
    app.metrics.followers.inc();
  }

  /** Delivers to the sink until the stream ends or is cancelled. */
  start(renderer: Renderer, sink: Sink): void {
    if (this.#isDone) return;
    const end = (reason: EndReason) => {
      this.cancel();
      sink.end(reason);
    };
    this.attachment.join({ ...this.from, renderer, sink: { ...sink, end } });
  }

  /** GraphQL takes only async iterables for streams. This one is pushed instead, by `start`. */
  [Symbol.asyncIterator](): never {
    throw new TypeError("A room subscription is started with a sink, not iterated");
  }

  /** Stops at once: nothing is sent after it returns. Idempotent. */
  cancel(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.app.metrics.followers.dec();
    this.attachment.leave();
  }
}

/** Everything that happens in the room after `after`, then live; the first batch comes at once, even if it is empty.
 * Throws BAD_USER_INPUT, NOT_FOUND, NOT_A_MEMBER, RATE_LIMITED. */
export async function followRoom(app: App, viewer: Viewer, { roomId, after }: FollowInput): Promise<RoomSubscription> {
  await app.limits.take("subscribe", viewer.userId);
  const cursor = after === null || after === undefined ? null : parseEventCursor(after);
  const attachment = roomId === null ? null : await app.once(liveRooms).attach(roomId);
  if (attachment === null) throw noSuchRoom();
  try {
    const { stream } = attachment;
    // Another node may have told the client of an event whose hint has not come here yet.
    if (cursor !== null && cursor.seq > stream.head) await stream.refresh();
    // Taken before the membership is read: a removal that the query did not see yet has a higher number.
    const head = stream.head;
    const member = await requireMember(app, viewer, roomId);
    const { first, seq } = await findStart(stream, { cursor, head });
    return new RoomSubscription(app, attachment, {
      reader: { userId: member.userId, role: member.role },
      joinedSeq: member.joinedSeq,
      first,
      cursor: seq,
    });
  } catch (error) {
    attachment.leave();
    throw error;
  }
}

interface Start {
  readonly first: RoomBatch | null;
  readonly seq: number;
}

/** Where the stream begins: after the cursor, or at the head with a resync event if the cursor can't be honoured. */
async function findStart(
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
