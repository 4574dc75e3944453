/** Clients as they are: on bad networks, far behind, on whatever carries them, in crowds, and some that do not read. */
import { Wire } from "../support/wires.ts";
import { Chat } from "./chat.ts";
import { EventStreamFollower, type Follower, PollFollower, SocketFollower } from "./followers.ts";
import { Journal } from "./journals.ts";
import { LiveClient } from "./live_client.ts";
import { becomes, pause } from "./system.ts";
import { count, megabytes, type Row, seconds, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

export const CLIENT_ROWS: readonly Row[] = [
  {
    name: "clients-dropping",
    promise: "A client that comes back with its cursor misses nothing",
    deed: "200 sockets, each cut every 2 s on average, for 12 s",
    run: dropClients,
  },
  {
    name: "clients-far-behind",
    promise: "A long absence is made good",
    deed: "20 clients resume 5,000 events behind while 20 events a second come in",
    run: resumeFarBehind,
  },
  {
    name: "clients-of-every-kind",
    promise: "The same events over every transport",
    deed: "one room over WebSocket, SSE and polls at once, on both nodes, connections cut 5 times",
    run: mixTransports,
  },
  {
    name: "client-stalled",
    promise: "One slow client harms nobody else",
    deed: "a client that asks for 8 MB a second and reads nothing, beside 20 healthy ones",
    run: stallOne,
  },
];

export async function dropClients(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 200 });
  await Promise.all([chat.follow(100, { on: a }), chat.follow(100, { on: b, skip: 100 })]);
  await chat.trickleDuring({ perSecond: 40, on: [a, b] }, async () => {
    for (let n = 0; n < 60; n++) {
      await pause(200);
      for (const { wire } of world.nodes) wire.cut(() => world.random() < 0.1);
    }
  });
  const resumed = chat.followers.reduce((sum, each) => sum + drops(each), 0);
  return await chat.verdict(`${count(resumed)} drops`);
}

function drops(follower: Follower): number {
  return follower instanceof SocketFollower ? follower.client.closes.length : 0;
}

async function resumeFarBehind(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 20 });
  for (let n = 0; n < 50; n++) await chat.commitSilently(100);
  const startMs = performance.now();
  let caughtUpMs = 0;
  await chat.trickleDuring({ perSecond: 20, on: a }, async () => {
    const all = (await Promise.all([chat.follow(10, { on: a }), chat.follow(10, { on: b, skip: 10 })])).flat();
    await becomes(() => all.every(({ journal }) => journal.applied.length >= 5_000), { withinMs: 30_000, everyMs: 10 });
    caughtUpMs = performance.now() - startMs;
    await pause(1_000);
  });
  return await chat.verdict(`20 × 5,000 events made good in ${seconds(caughtUpMs)}`);
}

async function mixTransports(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 30 });
  await Promise.all([SocketFollower, EventStreamFollower, PollFollower].flatMap((kind, index) => [
    chat.follow(5, { on: a, kind, skip: index * 10 }),
    chat.follow(5, { on: b, kind, skip: index * 10 + 5 }),
  ]));
  await chat.trickleDuring({ perSecond: 40, on: [a, b] }, async () => {
    for (let n = 0; n < 5; n++) {
      await pause(1_000 + world.random() * 500);
      for (const { wire } of world.nodes) wire.cut();
    }
    await pause(1_000);
  });
  return await chat.verdict("10 clients of each of WebSocket, SSE and polls");
}

/** Of one message; some 80 KB with 20 copies of a long text. */
const HEAVY_COPIES = 20;
const HEAVY_TEXT = "x".repeat(3_900);
const HEAVY_FOLLOW = `subscription ($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) {
    cursor
    events { __typename cursor ... on MessageSentEvent { message { id ${
  Array.from({ length: HEAVY_COPIES }, (_, index) => `c${index}: content`).join(" ")
} } } }
  }
}`;
/** Parley grows by 3 MB, the control by 150 MB. */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

export async function stallOne(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 21 });
  const healthy = await chat.follow(20, { on: b, skip: 1 });
  await using wire = await Wire.to(b.wire.target);
  const journal = new Journal(chat.room.cursor);
  using stalled = new LiveClient({
    wires: [wire],
    token: chat.person(0).token,
    random: world.random,
    operation: () => ({ query: HEAVY_FOLLOW, variables: { roomId: chat.room.id, after: journal.cursor } }),
    onNext: (batch) => journal.apply(batch),
  });
  await becomes(() => stalled.connectedAtMs.length > 0, { withinMs: 5_000 });
  const closesBefore = (await b.metrics())('parley_socket_closes_total{code="4013"}') || 0;
  const bytesBefore = await b.residentBytes();
  let bytesMost = bytesBefore;
  let closed = 0;
  const startMs = performance.now();
  let closedAfterMs = 0;
  await chat.trickleDuring({ perSecond: 100, on: a, text: HEAVY_TEXT }, async () => {
    wire.stall();
    await becomes(async () => {
      bytesMost = Math.max(bytesMost, (await b.metrics())("process_resident_memory_bytes"));
      closed = ((await b.metrics())('parley_socket_closes_total{code="4013"}') || 0) - closesBefore;
      return closed > 0;
    }, { withinMs: 20_000, everyMs: 500 });
    closedAfterMs = performance.now() - startMs;
    wire.flow();
  });
  const log = await chat.log();
  const head = log.at(-1)?.seq ?? 0;
  const resumed = await becomes(() => journal.position >= head, { withinMs: 20_000 });
  const verdict = await chat.verdict(
    `healthy ones: ${chat.latency(healthy)}`,
    ...closed > 0 ? [`the stalled one closed with 4013 after ${seconds(closedAfterMs)}`] : [],
    `the node grew by ${megabytes(bytesMost - bytesBefore)}`,
  );
  const problems = [
    ...verdict.problems,
    ...closed === 0 ? ["the stalled one was not closed"] : [],
    ...resumed ? [] : ["the stalled one did not come back to the end"],
    ...bytesMost - bytesBefore > MEMORY_BYTES_MAX ? [`the node grew by ${megabytes(bytesMost - bytesBefore)}`] : [],
  ];
  return { ...verdict, problems };
}
