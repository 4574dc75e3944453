/** What happens to clients when their node, or that of those whom they listen to, goes. */
import { Chat } from "./chat.ts";
import { EventStreamFollower } from "./followers.ts";
import type { Node } from "./nodes.ts";
import { pause } from "./system.ts";
import { count, type Row, seconds, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

export const NODE_ROWS: readonly Row[] = [
  {
    name: "sender-killed",
    promise: "Acknowledged means stored; a retry is never a second message",
    deed: "kill -9 of the senders' node in a burst, 3 times",
    run: (world) => killInBurst(world, { victim: 0 }),
  },
  {
    name: "subscriber-killed",
    promise: "Every event reaches every subscriber, in order, once",
    deed: "kill -9 of the subscribers' node in a burst, 3 times",
    run: (world) => killInBurst(world, { victim: 1 }),
  },
  {
    name: "committed-unpublished",
    promise: "What was committed arrives though nobody heard of it",
    deed: "kills between commit and publish: 5 in a burst, and 50 × 4 events committed behind the nodes' back",
    run: commitUnpublished,
  },
  {
    name: "frozen-loop",
    promise: "A node that stands still for a while harms nobody for longer",
    deed: "SIGSTOP of the subscribers' node for 5 s in a burst",
    run: freezeLoop,
  },
  {
    name: "drained",
    promise: "A node that is told to end sends everybody away in order",
    deed: "SIGTERM with 200 sockets, 20 SSE streams and sends in flight",
    run: drainNode,
  },
  {
    name: "rolling-restart",
    promise: "A deployment goes unnoticed",
    deed: "both nodes drained and started, one after the other, under load",
    run: restartOneByOne,
  },
];

const KILLS = 3;

async function killInBurst(world: World, { victim }: { readonly victim: 0 | 1 }): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 20 });
  await chat.follow(20, { on: b });
  await chat.trickleDuring(
    { perSecond: 300, on: a },
    () => killRepeatedly(world, world.nodes[victim], { kills: KILLS }),
  );
  return await chat.verdict(`${KILLS} kills`);
}

async function killRepeatedly({ random }: World, node: Node, { kills }: { readonly kills: number }): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    await pause(200 + random() * 500);
    await node.kill();
    await node.start();
  }
}

async function commitUnpublished(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 20 });
  await chat.follow(10, { on: a });
  await chat.follow(10, { on: b });
  const commits = async () => {
    for (let n = 0; n < 50; n++) {
      await chat.commitSilently(4);
      await pause(20 + world.random() * 60);
    }
  };
  await chat.trickleDuring(
    { perSecond: 300, on: a },
    () => Promise.all([killRepeatedly(world, a, { kills: 5 }), commits()]),
  );
  const silentMs = performance.now();
  await chat.commitSilently(4); // the very last ones: no later hint gives them away
  const verdict = await chat.verdict();
  const last = Math.max(...chat.followers.map(({ journal }) => journal.applied.at(-1)?.atMs ?? 0));
  return {
    ...verdict,
    figures: [...verdict.figures, `a last hint that was lost was made good in ${seconds(last - silentMs)}`],
  };
}

async function freezeLoop(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 20 });
  const [there] = await Promise.all([chat.follow(20, { on: b }), chat.follow(10, { on: a })]);
  await chat.trickleDuring({ perSecond: 100, on: a }, async () => {
    await pause(1_000);
    b.freeze();
    await pause(5_000);
    b.thaw();
    await pause(1_000);
  });
  const verdict = await chat.verdict(chat.latency(chat.followers.slice(20)));
  return { ...verdict, figures: [...verdict.figures, `${count(there.length)} clients waited for the thaw`] };
}

async function drainNode(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 220 });
  await chat.follow(200, { on: a });
  await chat.follow(20, { on: a, skip: 200, kind: EventStreamFollower });
  await chat.follow(20, { on: b });
  let end = { code: NaN, ms: NaN };
  await chat.trickleDuring({ perSecond: 100, on: a }, async () => {
    await pause(1_000);
    end = await a.drain();
    await pause(2_000);
  });
  await a.start();
  const verdict = await chat.verdict(`exit code ${end.code} after ${seconds(end.ms)}`);
  return { ...verdict, problems: [...verdict.problems, ...complaints(end.code)] };
}

async function restartOneByOne(world: World): Promise<Verdict> {
  using chat = await Chat.open(world, { people: 100 });
  for (const node of world.nodes) await chat.follow(50, { on: node });
  const codes: number[] = [];
  await chat.trickleDuring({ perSecond: 100, on: world.nodes }, async () => {
    for (const node of world.nodes) {
      await pause(1_000);
      codes.push((await node.drain()).code);
      await node.start();
    }
    await pause(1_000);
  });
  const verdict = await chat.verdict(`exit codes ${codes.join(", ")}`);
  return { ...verdict, problems: [...verdict.problems, ...codes.flatMap(complaints)] };
}

function complaints(code: number): string[] {
  return code === 0 ? [] : [`exit code ${code}`];
}
