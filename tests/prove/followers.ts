/** Everybody who follows a room, by whatever carries it: over a socket, a stream of Server-Sent Events, or polls. */
import type { Any, Person } from "../support/app.ts";
import type { Wire } from "../support/wires.ts";
import { EventStream } from "../support/event_streams.ts";
import { tryPoll } from "../support/polls.ts";
import { FOLLOW, Journal } from "./journals.ts";
import { LiveClient } from "./live_client.ts";
import { pause } from "./system.ts";

export interface Follower extends Disposable {
  readonly journal: Journal;
  readonly person: Person;
  /** When and why it was over for good, by the server's word. */
  readonly ended: { readonly why: string; readonly atMs: number } | null;
  /** Whether the first batch has come. */
  readonly isLive: boolean;
}

export interface FollowOptions {
  readonly person: Person;
  readonly roomId: string;
  readonly cursor: string;
  /** Tried one after the other, beginning with the first. */
  readonly wires: readonly Wire[];
  readonly random: () => number;
}

export class SocketFollower implements Follower {
  readonly journal: Journal;
  readonly person: Person;
  readonly client: LiveClient;
  isLive = false;

  constructor({ person, roomId, cursor, wires, random }: FollowOptions) {
    this.person = person;
    this.journal = new Journal(cursor);
    this.client = new LiveClient({
      wires,
      token: person.token,
      random,
      operation: () => ({ query: FOLLOW, variables: { roomId, after: this.journal.cursor } }),
      onNext: (batch) => {
        this.isLive = true;
        this.journal.apply(batch);
      },
    });
  }

  get ended() {
    return this.client.ended;
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }
}

/** What the two that work by requests have in common: a loop that goes on where the journal ends. */
abstract class RequestFollower implements Follower {
  readonly journal: Journal;
  readonly person: Person;
  ended: Follower["ended"] = null;
  isLive = false;
  protected isDisposed = false;

  constructor(protected readonly options: FollowOptions) {
    this.person = options.person;
    this.journal = new Journal(options.cursor);
    this.#run();
  }

  [Symbol.dispose](): void {
    this.isDisposed = true;
  }

  /** Follows from the journal's cursor on; returns why it was over for good, or `null` to be called again. */
  protected abstract follow(wire: Wire): Promise<string | null>;

  protected apply(batch: Any): void {
    this.isLive = true;
    if (!this.isDisposed) this.journal.apply(batch);
  }

  async #run(): Promise<void> {
    const { wires, random } = this.options;
    for (let tries = 0; !this.isDisposed && this.ended === null; tries++) {
      const why = await this.follow(wires[tries % wires.length] as Wire).catch(() => null); // its connection broke
      if (why !== null) this.ended = { why, atMs: performance.now() };
      else await pause(100 * (0.5 + random()));
    }
  }
}

export class EventStreamFollower extends RequestFollower {
  #stream: EventStream | null = null;

  protected async follow(wire: Wire): Promise<string | null> {
    const { person, roomId } = this.options;
    await using stream = await EventStream.open(wire, person, {
      query: FOLLOW,
      variables: { roomId, after: this.journal.cursor },
    });
    this.#stream = stream;
    if (stream.status !== 200) return stream.status === 503 ? null : `refused with ${stream.status}`;
    for await (const { data, errors } of stream.results) {
      const [{ extensions = {} } = {}] = errors ?? [];
      if (errors) return extensions.code === "UNAVAILABLE" ? null : `errors: ${JSON.stringify(errors)}`;
      this.apply(data.roomEvents);
    }
    return this.isDisposed ? null : "complete"; // one that breaks throws
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#stream?.[Symbol.asyncDispose]().catch(() => {}); // broken already
  }
}

export class PollFollower extends RequestFollower {
  protected async follow(wire: Wire): Promise<string | null> {
    const { person, roomId } = this.options;
    while (!this.isDisposed) {
      const args = { room: { id: roomId }, after: this.journal.cursor, waitSeconds: 2 };
      const { data, errors } = await tryPoll(wire, person, args);
      if (errors) return errors[0].extensions?.code === "UNAVAILABLE" ? null : `errors: ${JSON.stringify(errors)}`;
      if (data.room.events === null) return "no longer in the room";
      this.apply(data.room.events);
    }
    return null;
  }
}
