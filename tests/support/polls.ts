/** Reading a room's log by requests that wait: what a script does instead of opening a stream. */
import { strict as assert } from "node:assert";
import type { Answer, Any, Api, Person, TestRoom } from "./app.ts";
import { type Batch, EVENTS } from "./follow.ts";

export interface PollArgs {
  readonly after?: string | null;
  readonly first?: number;
  readonly waitSeconds?: number;
}

export const POLL = `query ($id: ID!, $after: String, $first: Int, $waitSeconds: Int) {
  room(id: $id) { events(after: $after, first: $first, waitSeconds: $waitSeconds) { ${EVENTS} } }
}`;

/** One poll; `null` for those who are not in the room. */
export async function poll(
  app: Pick<Api, "run">,
  as: Person,
  room: Pick<TestRoom, "id">,
  args: PollArgs = {},
): Promise<Batch | null> {
  return (await app.run(POLL, { id: room.id, ...args }, as)).room.events;
}

/** The whole answer of one poll, which the client may give up. */
export async function tryPoll(
  app: Pick<Api, "url">,
  as: Person,
  { room, signal = null, ...args }: PollArgs & {
    readonly room: Pick<TestRoom, "id">;
    readonly signal?: AbortSignal | null;
  },
): Promise<Answer["body"]> {
  const response = await fetch(app.url, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${as.token}` },
    body: JSON.stringify({ query: POLL, variables: { id: room.id, ...args } }),
    signal,
  });
  return await response.json();
}

/** Follows the room by polls alone, from the cursor until `count` events have come. */
export async function pollUntil(
  app: Pick<Api, "run">,
  as: Person,
  room: Pick<TestRoom, "id">,
  { after, count }: { readonly after: string; readonly count: number },
): Promise<Any[]> {
  const events: Any[] = [];
  for (let cursor = after; events.length < count;) {
    const batch = await poll(app, as, room, { after: cursor, first: count - events.length, waitSeconds: 25 });
    assert.ok(batch);
    events.push(...batch.events);
    cursor = batch.cursor;
  }
  return events;
}
