/** Promises of several nodes when Redis loses, repeats or invents hints, or is away: it costs time, never an event. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { openRedis, type RedisConnection } from "../src/platform/redis.ts";
import { type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { countSockets } from "./support/counters.ts";
import { isClustered, TEST_REDIS_URL } from "./support/databases.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { RoomFollower } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { done, refusal } from "./support/mutations.ts";
import { commitSilently } from "./support/rooms.ts";
import { addDevice } from "./support/sessions.ts";
import { Wire } from "./support/wires.ts";

interface Cluster {
  readonly one: TestApp;
  readonly other: TestApp;
  /** Between both nodes and Redis. */
  readonly wire: Wire;
}

/** A test on two nodes that reach Redis over a wire. */
function test(promise: string, check: (cluster: Cluster) => Promise<void>, env: Record<string, string> = {}): void {
  Deno.test({
    name: promise,
    ignore: !isClustered,
    async fn() {
      const url = TEST_REDIS_URL ?? "";
      await using wire = await Wire.to(Number(new URL(url).port || 6379));
      await using one = await startApp({ ...env, REDIS_URL: wire.rewrite(url) });
      await using other = await startApp({}, { joins: one });
      await check({ one, other, wire });
    },
  });
}

/** Ways in which Redis goes: dead, and frozen with all connections open. */
const ABSENCES: Record<string, { readonly go: (wire: Wire) => void; readonly comeBack: (wire: Wire) => void }> = {
  dead: { go: (wire) => wire.refuse(), comeBack: (wire) => wire.accept() },
  frozen: { go: (wire) => wire.stall(), comeBack: (wire) => wire.flow() },
};

for (const [state, { go, comeBack }] of Object.entries(ABSENCES)) {
  test(`while Redis is ${state}, every event arrives all the same, and hints are used again when it is back`, async (cluster) => {
    const { one, other, wire } = cluster;
    const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
    const room = await one.makeRoom(alice, bob);
    await using follower = new RoomFollower(other, bob, room, room.cursor);
    await follower.next();
    go(wire);
    for (let n = 0; n < 10; n++) await (n % 2 === 0 ? one : other).send(alice, room, `message ${n}`);
    assertGapless(await inTime("the events", follower.take(10)), 3, 12);
    await untilHealthy(cluster, false);
    await using late = new RoomFollower(other, alice, room, room.cursor);
    assertGapless(await inTime("a stream that is opened meanwhile", late.take(10)), 3, 12);
    comeBack(wire);
    await untilHealthy(cluster, true);
    await one.send(alice, room, "back");
    for (const each of [follower, late]) assertGapless(await each.take(1), 13, 13);
  });

  test(`while Redis is ${state}, whoever is removed on one node gets nothing later on the other`, async ({ one, other, wire }) => {
    const [alice, bob, carol] = [await one.signUp("alice"), await one.signUp("bob"), await one.signUp("carol")];
    const device = await addDevice(one, carol);
    const room = await one.makeRoom(alice, bob, carol);
    await using kicked = new RoomFollower(other, bob, room);
    await using revoked = new RoomFollower(other, carol, room);
    for (const follower of [kicked, revoked]) await follower.next();
    go(wire);
    await done(one, "kickMember", { roomId: room.id, userId: bob.id }, alice);
    const { revokeOtherSessions } = await one.run(
      "mutation { revokeOtherSessions { errors { code } } }",
      {},
      device,
    );
    assert.deepEqual(revokeOtherSessions.errors, []);
    const ends = await inTime("the end of both", Promise.all([kicked.rest(), revoked.rest()]));
    const [ofKicked = [], ofRevoked = []] = ends.map((events) => events.map((event) => event.__typename));
    assert.deepEqual(ofKicked, ["MemberRemovedEvent"]);
    assert.deepEqual(ofRevoked.filter((kind) => kind !== "MemberRemovedEvent"), []);
    await eventually("the end of the session on the other node", async () => (await ask(other, carol)).status === 401);
    comeBack(wire);
  });

  test(`while Redis is ${state}, each node goes on counting what one may do`, async ({ one, other, wire }) => {
    const alice = await one.signUp("alice");
    const room = await one.makeRoom(alice);
    for (let n = 0; n < 20; n++) await one.send(alice, room, `message ${n}`);
    go(wire);
    for (let n = 20; n < 30; n++) await one.send(alice, room, `message ${n}`);
    assert.deepEqual(await refusal(one, "sendMessage", { roomId: room.id, content: "one more" }, alice), [
      "RATE_LIMITED",
    ]);
    await other.send(alice, room, "counted apart");
    comeBack(wire);
  }, { RATE_LIMITS: "on" });
}

test("connections to Redis that break again and again lose, double and reorder nothing", async (cluster) => {
  const { one, other, wire } = cluster;
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  await using follower = new RoomFollower(other, bob, room, room.cursor);
  for (let n = 0; n < 20; n++) {
    wire.cut();
    for (let m = 0; m < 5; m++) await one.send(alice, room, `message ${n}.${m}`);
  }
  assertGapless(await inTime("the events", follower.take(100)), 3, 102);
  await untilHealthy(cluster, true);
});

test("hints that are lost, doubled, shuffled, malformed or foreign make no difference", async (cluster) => {
  const { one, other } = cluster;
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  const foreign = await one.makeRoom(bob);
  await using follower = new RoomFollower(other, bob, room, room.cursor);
  await follower.next();
  await using forger = await Forger.open(cluster, room);
  for (const text of ["", "null", "{", "[]", "{}", '{"from":1}', '{"from":"x"}', '{"from":"x","message":{"seq":3}}']) {
    await forger.say(text);
  }
  const heard = await forger.listen(10, async () => {
    for (let n = 0; n < 10; n++) await one.send(alice, room, `message ${n}`);
  });
  await commitSilently(one, room, 5); // their hints are lost
  for (const hint of [...heard, ...heard.toReversed()]) await forger.say(hint);
  for (const hint of heard) {
    const { from, message } = JSON.parse(hint);
    const lies = [
      { ...message, roomId: findId("room", foreign.id) },
      { ...message, seq: message.seq + 1_000_000 },
      { ...message, seq: -1 },
      { ...message, seq: "4" },
      { ...message, kind: "MESSAGE_FORGED" },
      { ...message, subjectId: "nobody" },
      { ...message, createdAt: "never" },
    ];
    for (const lie of lies) await forger.say(JSON.stringify({ from, message: lie }));
  }
  await one.send(alice, room, "last");
  assertGapless(await inTime("the events", follower.take(16)), 3, 18);
});

test("a node starts without Redis, serves, and finds it later", async (cluster) => {
  const { one, wire } = cluster;
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  wire.refuse();
  await using late = await startApp({}, { joins: one });
  await using follower = new RoomFollower(late, bob, room, room.cursor);
  await one.send(alice, room, "Hello");
  assertGapless(await inTime("the event", follower.take(1)), 3, 3);
  wire.accept();
  await untilHealthy({ ...cluster, other: late }, true);
  await one.send(alice, room, "Hello again");
  assertGapless(await follower.take(1), 4, 4);
});

test("when everybody has gone, Redis is asked for no more than before", async ({ one }) => {
  const { REDIS_PREFIX: prefix = "" } = one.settings;
  await using redis = await connectTo(TEST_REDIS_URL ?? "");
  const channels = async () => (await redis.client.pubsub("CHANNELS", `${prefix}:*`) as string[]).sort();
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  {
    await using follower = new RoomFollower(one, bob, room);
    await follower.next(); // from here on the node also hears of blocks
  }
  await eventually("no channel of a room", async () => !(await channels()).some((name) => name.includes(":room:")));
  const before = await channels();
  for (let round = 0; round < 3; round++) {
    // One person has a quota of sockets, in which those count that the node has yet to see close.
    await eventually("everybody has gone", async () => await countSockets(one) === 0);
    await using followers = new AsyncDisposableStack();
    for (let n = 0; n < 20; n++) await followers.use(new RoomFollower(one, n % 2 === 0 ? alice : bob, room)).next();
    assert.ok((await channels()).some((name) => name.includes(":room:")));
  }
  await eventually("the channels from before", async () => String(await channels()) === String(before));
});

/** Waits until both nodes know how Redis is. */
async function untilHealthy({ one, other }: Pick<Cluster, "one" | "other">, isHealthy: boolean): Promise<void> {
  await eventually(
    `a bus that is ${isHealthy ? "" : "not "}healthy`,
    () => [one, other].every(({ app }) => app.bus.isHealthy === isHealthy),
  );
}

function ask(app: TestApp, as: Person): Promise<{ readonly status: number }> {
  return app.post({ query: "{ viewer { user { id } } }" }, as);
}

async function connectTo(url: string): Promise<RedisConnection> {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const connection = openRedis(url, { name: "test", log });
  await new Promise((resolve) => connection.client.once("ready", resolve));
  return connection;
}

/** Somebody else who can write to the channel of a room. */
class Forger implements AsyncDisposable {
  private constructor(
    private readonly writer: RedisConnection,
    private readonly reader: RedisConnection,
    private readonly channel: string,
  ) {}

  static async open({ one }: Cluster, room: TestRoom): Promise<Forger> {
    const url = TEST_REDIS_URL ?? "";
    const channel = `${one.settings.REDIS_PREFIX}:room:${findId("room", room.id)}`;
    return new Forger(await connectTo(url), await connectTo(url), channel);
  }

  async say(text: string): Promise<void> {
    await this.writer.client.publish(this.channel, text);
  }

  /** What comes over the channel until so many hints have come. */
  async listen(count: number, act: () => Promise<void>): Promise<string[]> {
    const heard: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    this.reader.client.on("message", (_channel, text) => heard.push(text) === count && resolve());
    await this.reader.client.subscribe(this.channel);
    await act();
    await inTime("the hints", promise);
    await this.reader.client.unsubscribe(this.channel);
    return heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer[Symbol.asyncDispose]();
    await this.reader[Symbol.asyncDispose]();
  }
}
