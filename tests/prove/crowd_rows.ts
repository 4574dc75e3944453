/** What thousands of clients do at once, and what they leave behind. */
import { Chat } from "./chat.ts";
import { SocketFollower } from "./followers.ts";
import type { Node } from "./nodes.ts";
import { becomes, command, pause } from "./system.ts";
import { count, megabytes, type Row, seconds, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

export const CROWD_ROWS: readonly Row[] = [
  {
    name: "crowd-moving",
    promise: "A crowd that changes nodes at once is served, and costs Redis by the room, not by the head",
    deed: "3,000 clients in 10 rooms lose their node and reconnect to the other within a second",
    run: moveCrowd,
  },
  {
    name: "leaks",
    promise: "Who has left leaves nothing behind",
    deed: "10 rounds of 1,000 sockets that connect, follow and leave",
    run: countLeaks,
  },
];

const ROOMS = 10;
const CLIENTS = 3_000;
/** Messages about presence for each room while the whole crowd moves. */
const PRESENCE_PER_ROOM_MAX = 20;

async function moveCrowd(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chats = new DisposableStack();
  const rooms: Chat[] = [];
  for (let n = 0; n < ROOMS; n++) rooms.push(chats.use(await Chat.open(world, { people: CLIENTS / ROOMS })));
  const arriving = await countPresence(world, async () => {
    for (const chat of rooms) await chat.follow(CLIENTS / ROOMS, { on: a });
    await pause(3_000); // everybody has been shown online
  });
  const followers = rooms.flatMap((chat) => chat.followers as SocketFollower[]);
  let [movedMs, cpuMs] = [0, 0];
  const published = await countPresence(world, async () => {
    const cpuBefore = await cpuOf(b);
    const startMs = performance.now();
    const settled = Promise.withResolvers<void>();
    const sending = rooms.map((chat) => chat.trickleDuring({ perSecond: 1, on: b }, () => settled.promise));
    a.wire.refuse();
    await becomes(() => followers.every(({ client }) => isThere(client.connectedAtMs, startMs)), { withinMs: 60_000 });
    movedMs = Math.max(...followers.map(({ client }) => client.connectedAtMs.at(-1) ?? Infinity)) - startMs;
    cpuMs = await cpuOf(b) - cpuBefore;
    await pause(8_000); // and not been shown offline
    settled.resolve();
    await Promise.all(sending);
  });
  a.wire.accept();
  const verdicts = await Promise.all(rooms.map((chat) => chat.verdict()));
  const tooMany = published > ROOMS * PRESENCE_PER_ROOM_MAX
    ? [`${count(published)} presence messages for ${ROOMS} rooms`]
    : [];
  return {
    problems: [...new Set(verdicts.flatMap(({ problems }) => problems)), ...tooMany],
    figures: [
      `all ${count(followers.length)} back after ${seconds(movedMs)}`,
      `presence messages in Redis: ${count(arriving)} when they came, ${count(published)} when they moved`,
      `${seconds(cpuMs)} of the node's CPU`,
      ...verdicts[0]?.figures ?? [],
    ],
  };
}

function isThere(connectedAtMs: readonly number[], sinceMs: number): boolean {
  return (connectedAtMs.at(-1) ?? 0) > sinceMs;
}

async function cpuOf(node: Node): Promise<number> {
  return (await node.metrics())("process_cpu_seconds_total") * 1000;
}

/** Messages that go through Redis meanwhile, but for those of rooms and the echoes by which nodes know that it is there. */
async function countPresence({ redis: server, redisPrefix }: World, act: () => Promise<void>): Promise<number> {
  const isCounted = (channel: string) => !/^(room|ping):/.test(channel.slice(redisPrefix.length + 1));
  let messages = 0;
  await server.ask(async (redis) => {
    redis.on("pmessage", (_pattern, channel) => messages += Number(isCounted(channel)));
    await redis.psubscribe(`${redisPrefix}:*`);
    await act();
  });
  return messages;
}

const ROUNDS = 10;
const SOCKETS = 1_000;
/** Rounds after which everything is open that is opened once, and memory has the size around which it stays: over 40 rounds
 * it rose and fell between 315 and 401 MB, and ended at 330 MB. */
const WARM_UP = 3;
const GROWTH_BYTES_MAX = 128 * 1024 * 1024;
const DESCRIPTORS_MAX = 20;
/** Time after which nobody counts as there any more. */
const GRACE_MS = 8_000;
const GAUGES = ["parley_sockets", "parley_followers", "parley_bus_listeners"] as const;

async function countLeaks(world: World): Promise<Verdict> {
  const [a] = world.nodes;
  const rooms: Chat[] = [];
  using chats = new DisposableStack();
  for (let n = 0; n < 20; n++) rooms.push(chats.use(await Chat.open(world, { people: SOCKETS / 20 })));
  const cold = (await measure(world, a)).bytes;
  for (let round = 0; round < WARM_UP; round++) await comeAndGo(a, rooms);
  const before = await settle(world, a);
  for (let round = WARM_UP; round < ROUNDS; round++) await comeAndGo(a, rooms);
  const after = await settle(world, a, before);
  const grown = after.bytes - Math.max(cold, before.bytes); // a quiet moment gives much back, for a while
  const problems = [
    ...GAUGES.flatMap((name, index) => {
      const [was, is] = [before.gauges[index], after.gauges[index]];
      return was === is ? [] : [`${name} was ${was} and is ${is}`];
    }),
    ...after.descriptors - before.descriptors > DESCRIPTORS_MAX
      ? [`${after.descriptors - before.descriptors} descriptors more`]
      : [],
    ...after.channels > before.channels ? [`${after.channels - before.channels} Redis subscriptions more`] : [],
    ...grown > GROWTH_BYTES_MAX ? [`memory grew by ${megabytes(grown)} after warming up`] : [],
  ];
  return {
    problems,
    figures: [
      `${count(ROUNDS * SOCKETS)} sockets`,
      `memory ${megabytes(cold)} → ${megabytes(before.bytes)} (warm) → ${megabytes(after.bytes)}`,
      `descriptors ${before.descriptors} → ${after.descriptors}`,
      `Redis subscriptions ${before.channels} → ${after.channels}`,
    ],
  };
}

/** Everybody connects, follows and leaves. */
async function comeAndGo(node: Node, rooms: readonly Chat[]): Promise<void> {
  await Promise.all(rooms.map((chat) => chat.follow(SOCKETS / rooms.length, { on: node })));
  for (const chat of rooms) for (const follower of chat.followers.splice(0)) follower[Symbol.dispose]();
  await becomes(async () => (await node.metrics())("parley_sockets") === 0, { withinMs: 10_000 });
}

/** The footprint once it is that of before, or once it has had the time for that. */
async function settle(world: World, node: Node, before?: Footprint): Promise<Footprint> {
  const isBack = async () => before !== undefined && same((await measure(world, node)).gauges, before.gauges);
  await becomes(isBack, { withinMs: GRACE_MS, everyMs: 500 });
  return await measure(world, node);
}

interface Footprint {
  readonly bytes: number;
  readonly descriptors: number;
  /** Channels of Redis that somebody listens to. */
  readonly channels: number;
  readonly gauges: readonly [number, number, number];
}

async function measure({ redis: server, redisPrefix }: World, node: Node): Promise<Footprint> {
  const metrics = await node.metrics();
  const channels = await server.ask((redis) => redis.pubsub("CHANNELS", `${redisPrefix}:*`));
  return {
    bytes: await node.residentBytes(),
    descriptors: (await command("ls", `/proc/${node.pid}/fd`)).trim().split("\n").length,
    channels: channels.length,
    gauges: [metrics(GAUGES[0]), metrics(GAUGES[1]), metrics(GAUGES[2])],
  };
}

function same(one: readonly number[], other: readonly number[]): boolean {
  return one.every((value, index) => value === other[index]);
}
