/** The room's log without a socket: the events after a cursor, for which a request may wait a while. The same log, the same
 * cursors and the same rules as the streams; the database is not asked again and again. */
import type { App } from "../app.ts";
import { watchSession } from "../auth/revocations.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { parseEventCursor } from "../lib/event_cursors.ts";
import { parsePage } from "../lib/pages.ts";
import type { RoomBatch } from "./fanout.ts";
import { findStart } from "./follow.ts";
import { holdRoom, type RoomHold } from "./room_holds.ts";
import { isRemovalOf } from "./room_stream.ts";

/** Below the 30 s after which proxies take a silent request for dead. */
export const WAIT_SECONDS_MAX = 25;
/** Requests of one user that wait at the same time; as many as there may be connections. */
const WAITING_MAX = 20;
const RETRY_MS = 1_000;

export interface PollInput {
  readonly roomId: string;
  /** Last cursor seen; without one the answer is where the log ends now. */
  readonly after?: string | null | undefined;
  /** Events at most. (Default: 50) */
  readonly first?: number | null | undefined;
  /** How long to wait while there is nothing. (Default: 0) */
  readonly waitSeconds?: number | null | undefined;
  /** Aborted when nobody wants the answer any more; `null` for one that must not wait. */
  readonly signal: AbortSignal | null;
}

/** The events after `after`, at once if there are any; `null` for those who are not in the room. The own removal is the last
 * one that anybody gets. Throws BAD_USER_INPUT, RATE_LIMITED, and UNAUTHENTICATED where the session ends meanwhile. */
export async function pollRoom(app: App, viewer: Viewer, input: PollInput): Promise<RoomBatch | null> {
  const { size } = parsePage({ first: input.first });
  const waitMs = parseWait(input.waitSeconds ?? 0) * 1000;
  const cursor = input.after === null || input.after === undefined ? null : parseEventCursor(input.after);
  await app.limits.take("poll", viewer.userId);
  const hold = await holdRoom(app, viewer, { roomId: input.roomId, cursor }).catch(hideRoom);
  if (hold === null) return null;
  using cleanUp = new DisposableStack();
  cleanUp.defer(() => hold.release());
  let sessionEnd: string | null = null;
  const { promise: isOver, resolve: stopWaiting } = Promise.withResolvers<void>();
  cleanUp.defer(watchSession(app, viewer, (state) => {
    sessionEnd = state;
    stopWaiting();
  }));

  const { stream } = hold.attachment;
  const { first, seq } = await findStart(stream, { cursor, head: hold.head });
  if (first !== null && (cursor === null || first.events.length > 0)) return first;
  if (stream.head === seq && waitMs > 0 && size > 0 && input.signal !== null) {
    cleanUp.defer(hold.attachment.listen(() => stopWaiting()));
    await app.once(waitingPolls).wait(viewer.userId, { isOver, waitMs, signal: input.signal });
  }
  const batch = await readBatch(hold, { seq, size });
  if (sessionEnd !== null) throw new AppError("UNAUTHENTICATED", `Cannot go on: ${sessionEnd}`);
  return batch;
}

async function readBatch(
  { attachment: { stream }, member }: RoomHold,
  { seq, size }: { readonly seq: number; readonly size: number },
): Promise<RoomBatch> {
  const { head } = stream;
  const events = head > seq ? (await stream.read(seq, head)).slice(0, size) : [];
  // Retention has cut the log while this was on its way.
  if (events.length > 0 && events[0]?.seq !== seq + 1) {
    const resync = stream.resyncEvent(head);
    return { cursor: resync.cursor, events: [resync] };
  }
  const end = events.findIndex((event) => isRemovalOf(event, member));
  const batch = end < 0 ? events : events.slice(0, end + 1);
  return { cursor: batch.at(-1)?.cursor ?? stream.positionOf(seq), events: batch };
}

function parseWait(seconds: number): number {
  if (seconds >= 0 && seconds <= WAIT_SECONDS_MAX) return seconds;
  const state = `\`waitSeconds\` is ${seconds}, it takes 0 to ${WAIT_SECONDS_MAX}`;
  throw new AppError("BAD_USER_INPUT", `Cannot wait for events: ${state}`, { limit: WAIT_SECONDS_MAX });
}

function hideRoom(error: unknown): null {
  if (error instanceof AppError && (error.code === "NOT_A_MEMBER" || error.code === "NOT_FOUND")) return null;
  throw error;
}

export function waitingPolls(app: App): WaitingPolls {
  return new WaitingPolls(app);
}

/** All requests of this node that wait for events. */
export class WaitingPolls implements AsyncDisposable {
  readonly #byUser = new Map<string, number>();
  readonly #draining = new AbortController();

  constructor(private readonly app: App) {}

  /** The node drains: everyone gets an answer now, and nobody waits any more. */
  drain(): void {
    this.#draining.abort();
  }

  /** Resolves when the wait is over, for whatever reason. Throws RATE_LIMITED when the user has too many. */
  async wait(
    userId: string,
    { isOver, waitMs, signal }: {
      readonly isOver: Promise<void>;
      readonly waitMs: number;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const waiting = this.#byUser.get(userId) ?? 0;
    if (waiting >= WAITING_MAX) {
      const state = `you wait in ${WAITING_MAX} requests already`;
      throw new AppError("RATE_LIMITED", `Cannot wait for events: ${state}`, { retryAfterMs: RETRY_MS });
    }
    this.#byUser.set(userId, waiting + 1);
    this.app.metrics.waitingPolls.inc();
    const { promise: isLate, resolve } = Promise.withResolvers<void>();
    const stop = () => resolve();
    const timer = setTimeout(stop, waitMs);
    const stops = [signal, this.#draining.signal];
    for (const each of stops) each.addEventListener("abort", stop);
    if (stops.some(({ aborted }) => aborted)) stop();
    await Promise.race([isOver, isLate]);
    clearTimeout(timer);
    for (const each of stops) each.removeEventListener("abort", stop);
    this.app.metrics.waitingPolls.dec();
    const left = (this.#byUser.get(userId) ?? 1) - 1;
    if (left === 0) this.#byUser.delete(userId);
    else this.#byUser.set(userId, left);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.drain();
    return Promise.resolve();
  }
}
