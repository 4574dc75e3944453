/** Two nodes are restarted one after the other, as for a new version, while people talk: nobody misses anything. */
import { strict as assert } from "node:assert";
import { createClient } from "graphql-ws";
import { type Any, type Api, type Person, redisConfig, type TestRoom } from "./support/app.ts";
import { createTestDatabase, isClustered } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";
import { ROOM_EVENTS, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { ServerProcess } from "./support/processes.ts";
import { resuming } from "./support/resuming.ts";
import { sendUntilAcknowledged } from "./support/sending.ts";

const CLIENTS = 30;
const SENDERS = 3;

Deno.test({
  name: "while all nodes are restarted in turn, everybody gets every message once and in order",
  ignore: !isClustered,
  async fn() {
    await using database = await createTestDatabase();
    await using fleet = await Fleet.start({ ...database.config, ...redisConfig(), MAX_CONNECTIONS_PER_USER: "100" });
    const { api } = fleet;
    const people = await Promise.all(Array.from({ length: SENDERS }, () => api.signUp()));
    const [owner, ...members] = people;
    assert.ok(owner);
    const room = await api.makeRoom(owner, ...members);

    await using stack = new AsyncDisposableStack();
    const screens = people.flatMap((person) =>
      Array.from({ length: CLIENTS / SENDERS }, () => stack.use(new Screen(fleet, person, room)))
    );
    await eventually("all follow", () => screens.every(({ isLive }) => isLive));
    let isOver = false;
    const sending = people.map(async (as) => {
      const client = { api: () => fleet.api, as, mayFail: () => true }; // the node has gone
      const sent: string[] = [];
      while (!isOver) sent.push(await sendUntilAcknowledged(client, { roomId: room.id, content: "Message" }));
      return sent;
    });
    for (const index of [0, 1]) {
      assert.equal(await fleet.restart(index), 0);
      const seen = screens.map(({ events }) => events.length);
      await eventually("all see more", () => screens.every(({ events }, at) => events.length > (seen[at] ?? 0) + 10));
    }
    isOver = true;
    const sent = (await Promise.all(sending)).flat();

    const first = seqOf(room) + 1;
    for (const { events } of screens) {
      await eventually("everything has come", () => events.length >= sent.length);
      assertGapless(events, first, first + sent.length - 1);
      const ids = new Set(events.map(({ message }) => message.id));
      assert.deepEqual(sent.filter((id) => !ids.has(id)), []);
    }
    assert.ok(screens.every(({ connections }) => connections > 1), "nobody was spared");
  },
});

/** Two nodes on one database and one Redis. */
class Fleet implements AsyncDisposable {
  readonly #nodes: { process: ServerProcess; api: Api }[] = [];
  /** Indexes of those that a load balancer would send clients to. */
  readonly #up = new Set<number>();

  private constructor(private readonly env: Record<string, string>) {}

  static async start(env: Record<string, string>): Promise<Fleet> {
    const fleet = new Fleet(env);
    await fleet.#start(0); // it migrates the database
    await fleet.#start(1);
    return fleet;
  }

  /** Some node that is up, or was a moment ago. */
  get api(): Api {
    const candidates = [...this.#up].map((index) => this.#nodes[index]);
    const node = candidates[Math.floor(Math.random() * candidates.length)];
    if (node === undefined) throw new Error("No node is up");
    return node.api;
  }

  /** Ends the node as a deployment does, starts its successor, and returns the exit code of the old one. Clients
   * find out by themselves that it goes. */
  async restart(index: number): Promise<number | undefined> {
    const status = await this.#nodes[index]?.process.kill("SIGTERM");
    this.#up.delete(index);
    await this.#start(index);
    return status?.code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process } of this.#nodes) await process[Symbol.asyncDispose]();
  }

  async #start(index: number): Promise<void> {
    const process = new ServerProcess(this.env);
    this.#nodes[index] = { process, api: await process.api() };
    this.#up.add(index);
  }
}

/** What one client shows: the stock client and what the README adds to it, on whichever node answers. */
class Screen implements AsyncDisposable {
  readonly events: Any[] = [];
  isLive = false;
  connections = 0;
  readonly #end: () => Promise<void>;

  constructor(fleet: Fleet, person: Person, room: TestRoom) {
    const client = createClient({
      url: () => fleet.api.socketUrl,
      connectionParams: { authorization: `Bearer ${person.token}` },
      retryAttempts: Infinity,
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100)),
      on: { connected: () => void this.connections++ },
    });
    this.#end = async () => await client.dispose();
    const request = { query: ROOM_EVENTS, variables: { roomId: room.id, after: room.cursor } };
    resuming(client).subscribe<{ roomEvents: { events: Any[] } }>(request, {
      next: ({ data, errors }) => {
        this.isLive = true;
        if (errors) this.events.push({ __typename: "Error", errors });
        this.events.push(...data?.roomEvents.events ?? []);
      },
      error: (error) => this.events.push({ __typename: "Error", error }),
      complete: () => {},
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end();
  }
}
