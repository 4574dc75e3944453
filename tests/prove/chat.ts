/** A room in which a row happens: its people, what they send, who follows it, and what must have become of it in the end. */
import { type Any, type Person, type TestRoom } from "../support/app.ts";
import { enlist, place } from "../support/crowds.ts";
import { commitSilently } from "../support/rooms.ts";
import { SEND } from "../support/sending.ts";
import { compare, type Logged, problemsOf, sum } from "./checker.ts";
import { type Follower, type FollowOptions, SocketFollower } from "./followers.ts";
import { numberOf } from "./journals.ts";
import type { Node } from "./nodes.ts";
import { persist, Tally } from "./requests.ts";
import { becomes, pause } from "./system.ts";
import { count, milliseconds, percentile, seconds, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

/** Time for everybody to catch up, once nothing is broken any more. */
const SETTLE_MS = 20_000;
/** The same for a chat whose clients may never be level. */
const CONTROL_SETTLE_MS = 5_000;

export class Chat implements Disposable {
  readonly tally = new Tally();
  readonly followers: Follower[] = [];
  /** Message id → when it was acknowledged. */
  readonly acknowledged = new Map<string, number>();
  readonly #mayEnd = new Set<object>();
  #silent = 0;
  #sent = 0;

  private constructor(
    private readonly world: World,
    readonly room: TestRoom,
    readonly people: readonly Person[],
  ) {}

  /** A room of that many people; the first is its owner. */
  static async open(world: World, { people: size }: { readonly people: number }): Promise<Chat> {
    const people = await enlist(world.app, size);
    const [owner, ...others] = people as [Person, ...Person[]];
    const room = await world.backend.makeRoom(world.app, world.nodes[0].wire, owner);
    await place(world.app, room, others);
    return new Chat(world, room, people);
  }

  person(index: number): Person {
    return this.people[index % this.people.length] as Person;
  }

  /** Adds that many followers, each another person, whose first choice is this node; returns when all are live. */
  async follow(
    size: number,
    { on, cursor = this.room.cursor, kind = SocketFollower, skip = 0 }: {
      readonly on: Node;
      readonly cursor?: string;
      readonly kind?: new (options: FollowOptions) => Follower;
      /** People to leave out from the beginning of the list. */
      readonly skip?: number;
    },
  ): Promise<Follower[]> {
    const { world: { random }, room: { id: roomId } } = this;
    const wires = this.world.wiresFrom(on);
    const added = Array.from(
      { length: size },
      (_, index) => new kind({ person: this.person(index + skip), roomId, cursor, wires, random }),
    );
    this.followers.push(...added);
    await becomes(() => added.every(({ isLive }) => isLive), { withinMs: SETTLE_MS });
    return added;
  }

  /** Sends one message, with the same id until it is acknowledged. */
  async say(
    as: Person,
    { on, text = "Message" }: { readonly on: Node; readonly text?: string | undefined },
  ): Promise<void> {
    const input = {
      roomId: this.room.id,
      content: `${text} ${++this.#sent}`,
      clientMessageId: crypto.randomUUID(),
    };
    const attempt = { wires: this.world.wiresFrom(on), as, query: SEND, variables: { input } };
    const data: Any = await persist(this.tally, attempt);
    if (data?.sendMessage.message) this.acknowledged.set(data.sendMessage.message.id, performance.now());
    else if (data) this.tally.refusals.add(data.sendMessage.errors[0].code);
  }

  /** Sends at this pace, whether answers come or not, while `act` runs; returns when all is acknowledged. */
  async trickleDuring(
    { perSecond, on, senders = this.people.length, text }: {
      readonly perSecond: number;
      readonly on: Node | readonly Node[];
      /** How many people send, from the beginning of the list. (Default: all) */
      readonly senders?: number;
      /** Begins every message. (Default: a short text) */
      readonly text?: string;
    },
    act: () => Promise<unknown>,
  ): Promise<void> {
    const nodes = [on].flat() as readonly Node[];
    let isOver = false;
    const send = async () => {
      const pending: Promise<void>[] = [];
      const startMs = performance.now();
      for (let n = 0; !isOver; n++) {
        pending.push(this.say(this.person(n % senders), { on: nodes[n % nodes.length] as Node, text }));
        await pause(Math.max(0, startMs + (n + 1) * 1000 / perSecond - performance.now()));
      }
      await Promise.all(pending);
    };
    await Promise.all([send(), act().finally(() => isOver = true)]);
  }

  /** Commits messages of which no node hears. */
  async commitSilently(size: number): Promise<void> {
    await commitSilently(this.world, this.room, size);
    this.#silent += size;
  }

  /** The log as the database has it, after the room was made. */
  log(): Promise<Logged[]> {
    return this.world.backend.readLog(this.world.app, this.room);
  }

  /** Lets everybody catch up, reads the room once more from its beginning, and judges. */
  async verdict(...figures: string[]): Promise<Verdict> {
    const healedMs = performance.now();
    const log = await this.log();
    const head = log.at(-1)?.seq ?? numberOf(this.room.cursor);
    if (this.world.backend.canReplay) await this.follow(1, { on: this.world.nodes[1] }); // reads all of it now
    const withinMs = this.world.backend.canReplay ? SETTLE_MS : CONTROL_SETTLE_MS;
    const judged = this.followers.filter(({ ended }) => ended === null);
    await becomes(() => judged.every(({ journal }) => journal.position >= head), { withinMs });
    const caughtUpMs = Math.max(0, ...judged.map(({ journal }) => (journal.applied.at(-1)?.atMs ?? 0) - healedMs));
    const faults = judged.map(({ journal }) => compare(journal, log.filter(({ seq }) => seq > journal.from)));
    const stored = new Set(log.flatMap(({ messageId }) => messageId ?? []));
    const lost = [...this.acknowledged.keys()].filter((id) => !stored.has(id)).length;
    const unasked = stored.size - this.acknowledged.size - this.#silent + lost;
    const { hung, refusals, unavailable, broken, slowestMs } = this.tally;
    const problems = [
      ...problemsOf(sum(faults), `${faults.filter((each) => problemsOf(each, "").length > 0).length} clients`),
      ...lost > 0 ? [`${lost} acknowledged messages lost`] : [],
      ...unasked !== 0 ? [`${unasked} messages more in the log than were sent`] : [],
      ...hung > 0 ? [`${hung} requests hung`] : [],
      ...[...refusals].map((refusal) => `a send was answered with ${refusal}`),
      ...this.followers.flatMap(({ ended }) =>
        ended && !this.#mayEnd.has(ended) ? [`a stream ended: ${ended.why}`] : []
      ),
    ];
    const retried = unavailable + broken > 0 ? [`${count(unavailable + broken)} tries repeated`] : [];
    return {
      problems: [...new Set(problems)],
      figures: [
        `${count(this.acknowledged.size)} acknowledged, ${judged.length} clients × ${count(log.length)} events`,
        ...retried,
        `slowest answer ${seconds(slowestMs)}`,
        `level ${seconds(caughtUpMs)} after`,
        ...figures,
      ],
    };
  }

  /** Streams of these followers end in this row, as they must. */
  expectEnd(followers: readonly Follower[]): void {
    for (const { ended } of followers) if (ended) this.#mayEnd.add(ended);
  }

  /** How long after its acknowledgement each message reached these followers: median, 99th percentile, longest. */
  latency(followers: readonly Follower[] = this.followers): string {
    const waits = followers.flatMap(({ journal }) =>
      journal.applied.flatMap(({ messageId, atMs }) => {
        const ackMs = messageId === null ? undefined : this.acknowledged.get(messageId);
        return ackMs === undefined ? [] : Math.max(0, atMs - ackMs);
      })
    );
    const [median, slow, longest] = [0.5, 0.99, 1].map((share) => milliseconds(percentile(waits, share)));
    return `delivered after ${median} (median), ${slow} (p99), ${longest} (max)`;
  }

  [Symbol.dispose](): void {
    for (const follower of this.followers) follower[Symbol.dispose]();
  }
}
