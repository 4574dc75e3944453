/** The promise of the live streams, checked: every event once, in order, whatever becomes of the connection. */
import { strict as assert } from "node:assert";
import type { Any, Api, Person, TestRoom } from "./app.ts";
import { RoomFollower, seqOf } from "./follow.ts";

type Server = Pick<Api, "socketUrl">;

/** Follows the room to the event `until`, and drops the socket after every `every` events. Comes back with its newest
 * cursor once `isUp` has settled, also when the connection was lost. Returns all events as a client applies them. */
export async function followWithDrops(
  app: Server,
  as: Person,
  room: TestRoom,
  { every, until, isUp = () => Promise.resolve() }: {
    readonly every: number;
    readonly until: number;
    readonly isUp?: () => Promise<unknown>;
  },
): Promise<Any[]> {
  const events: Any[] = [];
  let cursor = room.cursor;
  while (Number(cursor.split(".")[1]) < until) {
    await isUp();
    await using follower = new RoomFollower(app, as, room, cursor);
    try {
      for (let taken = 0; taken < every && Number(cursor.split(".")[1]) < until;) {
        const batch = await follower.next();
        for (const event of batch.events.slice(0, every - taken)) {
          events.push(event);
          cursor = event.cursor;
          taken++;
        }
      }
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
    }
  }
  return events;
}

/** Each number from the first to the last exactly once, in order. */
export function assertGapless(events: readonly Any[], from: number, to: number): void {
  assert.deepEqual(events.map(seqOf), Array.from({ length: to - from + 1 }, (_, index) => from + index));
}

// What the client of graphql-ws throws when its socket is gone: the close event, or the error before it.
function isConnectionLost(error: unknown): boolean {
  return error instanceof CloseEvent || error instanceof ErrorEvent ||
    (error instanceof Event && error.type === "error");
}
