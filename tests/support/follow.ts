/** Following a room with the real `graphql-ws` client, and seeing what it got. */
import { type Client, createClient } from "graphql-ws";
import type { Any, Person, TestApp, TestRoom } from "./app.ts";

/** What tests look at in a batch of a room's events. */
export const EVENTS = `
  cursor
  events {
    __typename
    cursor
    ... on MessageSentEvent { message { id content author { username } } }
    ... on MessageEditedEvent { message { id content } }
    ... on MessageDeletedEvent { message { id content deletedAt } }
    ... on MemberJoinedEvent { member { id user { username } } }
    ... on MemberRemovedEvent { removedMemberId reason user { username } }
  }`;

export const ROOM_EVENTS = `subscription ($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) { ${EVENTS} }
}`;

export interface Batch {
  readonly cursor: string;
  readonly events: readonly Any[];
}

/** A client with one socket for one person. Nothing is retried: tests decide when to come back. */
export function connect(app: Pick<TestApp, "socketUrl">, as: Person | null): Client {
  return createClient({
    url: app.socketUrl,
    lazy: true,
    retryAttempts: 0,
    ...(as ? { connectionParams: { Authorization: `Bearer ${as.token}` } } : {}),
  });
}

/** One subscription of a room, read batch by batch. Disposing it closes its socket. */
export class RoomFollower implements AsyncDisposable {
  readonly batches: AsyncIterableIterator<Batch>;
  readonly #client: Client;

  constructor(app: Pick<TestApp, "socketUrl">, as: Person, room: Pick<TestRoom, "id">, after: string | null = null) {
    this.#client = connect(app, as);
    const results = this.#client.iterate<{ roomEvents: Batch }>({
      query: ROOM_EVENTS,
      variables: { roomId: room.id, after },
    });
    this.batches = unwrap(results);
  }

  /** The next batch; fails when the stream has ended. */
  async next(): Promise<Batch> {
    const { value, done } = await this.batches.next();
    if (done) throw new Error("The stream has ended");
    return value;
  }

  /** Events until `count` of them have come, or until the stream ends. */
  async take(count: number): Promise<Any[]> {
    const events: Any[] = [];
    while (events.length < count) {
      const { value, done } = await this.batches.next();
      if (done) break;
      events.push(...value.events);
    }
    return events;
  }

  /** All events until the stream ends, or its socket is closed. */
  async rest(): Promise<Any[]> {
    const events: Any[] = [];
    try {
      for await (const batch of this.batches) events.push(...batch.events);
    } catch (error) {
      if (!(error instanceof CloseEvent)) throw error;
    }
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const returned = this.batches.return?.(); // waits for a batch that is asked for, which closing the socket ends
    await this.#client.dispose();
    await returned;
  }
}

async function* unwrap(results: AsyncIterable<Any>): AsyncIterableIterator<Batch> {
  for await (const { data, errors } of results) {
    if (errors || !data) throw new Error(`The stream failed: ${JSON.stringify(errors)}`);
    yield data.roomEvents;
  }
}

/** The number of an event in its room. */
export function seqOf(event: { readonly cursor: string }): number {
  return Number(event.cursor.split(".")[1]);
}
