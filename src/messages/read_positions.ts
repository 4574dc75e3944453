/** Storing read positions: at most one move a second for each member, and the last one is never lost. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { retryDeadlock } from "../platform/sql.ts";
import { publishRoomEvent, type RoomEvent, takeSeq } from "../rooms/events.ts";
import { type Member, notAMember } from "../rooms/members.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";

/** Between two moves of one member: a client that marks every message that scrolls by would fill the log of the room. */
const INTERVAL_MS = 1_000;

/** A position that somebody waits for. */
interface Wait {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The moves of one node. The interval holds on all nodes together: the statement that moves keeps it. */
export function readPositions(app: App): ReadPositions {
  return new ReadPositions(app);
}

export class ReadPositions implements AsyncDisposable {
  /** By membership: who waits for the moves of one member, which are made one after the other. */
  readonly #waiting = new Map<string, Wait[]>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(private readonly app: App) {}

  /** Resolves once the member's position is at `seq` or beyond. Those who come before the second is over share one move, to the
   * furthest of their positions. Throws NOT_A_MEMBER, UNAVAILABLE. */
  move(member: Member, seq: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(member.id);
      const wait: Wait = { seq, resolve, reject };
      if (waiting !== undefined) {
        waiting.push(wait);
        return;
      }
      const started = [wait];
      this.#waiting.set(member.id, started);
      const running = this.#run(member, started).finally(() => this.#running.delete(running));
      this.#running.add(running);
    });
  }

  async #run(member: Member, waiting: Wait[]): Promise<void> {
    try {
      while (waiting.length > 0) {
        const { position, waitMs } = await movePosition(this.app, member, Math.max(...waiting.map(({ seq }) => seq)));
        for (const { resolve } of take(waiting, ({ seq }) => seq <= position)) resolve();
        if (waiting.length > 0) await this.#pause(waitMs);
      }
    } catch (error) {
      for (const { reject } of take(waiting, () => true)) reject(error);
    } finally {
      this.#waiting.delete(member.id);
    }
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(new AppError("UNAVAILABLE", "Cannot mark the room as read: the server shuts down"));
      };
      const timer = setTimeout(() => {
        signal.removeEventListener("abort", stop);
        resolve();
      }, ms);
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running);
  }
}

/** Takes those out of the list that fit, and returns them. */
function take<T>(list: T[], fits: (item: T) => boolean): T[] {
  const taken = list.filter(fits);
  list.splice(0, list.length, ...list.filter((item) => !taken.includes(item)));
  return taken;
}

type Moved = RoomEvent & { readonly told: readonly string[] };

/** Moves the position to `seq` if it is not there yet and the last move is a second ago; else says where it is and when the
 * next move may be. Other devices of the member are told in the same statement, for their totals. */
async function movePosition(
  app: App,
  member: Member,
  seq: number,
): Promise<{ readonly position: number; readonly waitMs: number }> {
  const [moved] = await retryDeadlock(() =>
    app.sql<Moved[]>`
    with member as (
      update members
      set last_read_seq = ${seq},
        last_read_at = now()
      where id = ${member.id}
        and last_read_seq < ${seq}
        -- Looked at again under the row lock, as the row is then: of many moves at once one is made.
        and (last_read_at is null or last_read_at <= now() - make_interval(secs => ${INTERVAL_MS / 1_000}))
      returning id, room_id, user_id, role
    ), room as (
      update rooms
      set ${takeSeq(app)}
      from member
      where rooms.id = member.room_id
      returning rooms.last_seq
    ), news as (
      select user_id, 'VIEWER_UPDATED' as kind, user_id as subject_id, null::jsonb as data from member
    ), ${appendViewerEvents(app)}, event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select room_id, last_seq, 'MEMBER_READ', user_id, user_id, jsonb_build_object('memberId', id, 'role', role)
      from member, room
      returning *
    )
    select event.*, ${toldUsers(app)}
    from event`
  );
  if (moved !== undefined) {
    const { told, ...event } = moved;
    publishRoomEvent(app, event);
    publishViewerEvents(app, told);
    return { position: seq, waitMs: INTERVAL_MS };
  }
  const [now] = await app.sql<{ position: number; waitMs: number }[]>`
    select last_read_seq as position,
      greatest(0, ceil(${INTERVAL_MS} - extract(epoch from now() - last_read_at) * 1000))::int as wait_ms
    from members
    where id = ${member.id}`;
  if (now === undefined) throw notAMember();
  return now;
}
