/** What becomes of the promises while Redis is away, empty, frozen, or tells lies. */
import { findId } from "../../src/lib/ids.ts";
import { Chat } from "./chat.ts";
import { pause } from "./system.ts";
import { count, type Row, type Verdict } from "./verdicts.ts";
import { own, type World } from "./world.ts";

export const REDIS_ROWS: readonly Row[] = [
  {
    name: "redis-stopped",
    promise: "Without Redis everything arrives, a little later",
    deed: "Redis stopped for 30 s while one node sends and both follow",
    harms: ["redis"],
    run: (world) => stopRedis(world, { forMs: 30_000 }),
  },
  {
    name: "redis-emptied",
    promise: "Nothing that matters lives in Redis",
    deed: "FLUSHALL, then a restart with nothing in it",
    harms: ["redis"],
    run: (world) =>
      sendDuring(world, async () => {
        await pause(1_000);
        await world.redis.ask((redis) => redis.flushall());
        await pause(1_000);
        const redis = own(world.redis);
        await redis.stop();
        await redis.start();
        await pause(3_000);
      }),
  },
  {
    name: "redis-pubsub-killed",
    promise: "What is lost between two connections to Redis is made good",
    deed: "CLIENT KILL TYPE pubsub, 20 times in 10 s",
    harms: ["redis"],
    run: killPubSub,
  },
  {
    name: "redis-frozen",
    promise: "A Redis that answers nothing holds nobody up",
    deed: "SIGSTOP of Redis for 20 s",
    harms: ["redis"],
    run: (world) =>
      sendDuring(world, async () => {
        const redis = own(world.redis);
        await pause(1_000);
        redis.freeze();
        await pause(20_000);
        redis.thaw();
        await pause(2_000);
      }),
  },
  {
    name: "hints-garbled",
    promise: "A hint is a hint: no lie in Redis loses, doubles or reorders anything",
    deed: "hints lost, doubled, reordered, malformed, of another room and from the far future",
    run: garbleHints,
  },
];

export function stopRedis(world: World, { forMs }: { readonly forMs: number }): Promise<Verdict> {
  return sendDuring(world, async () => {
    const redis = own(world.redis);
    await redis.stop();
    await pause(forMs);
    await redis.start();
    await pause(3_000);
  });
}

export function killPubSub(world: World): Promise<Verdict> {
  return sendDuring(world, async () => {
    for (let kill = 0; kill < 20; kill++) {
      await pause(250 + world.random() * 500);
      await world.redis.ask((redis) => redis.call("CLIENT", "KILL", "TYPE", "pubsub"));
    }
  });
}

/** One node sends while something happens to Redis, so that the other hears of nothing by its own doing. */
async function sendDuring(world: World, act: () => Promise<void>): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 20 });
  await Promise.all([chat.follow(10, { on: a }), chat.follow(10, { on: b })]);
  await chat.trickleDuring({ perSecond: 50, on: a }, act);
  const verdict = await chat.verdict();
  return {
    ...verdict,
    figures: [...verdict.figures, `on the other node ${chat.latency(chat.followers.slice(10, 20))}`],
  };
}

const MALFORMED = ["", "{", "null", "[]", "0", "garbage", '{"from":1}', '{"from":"x","message":null}', "\0\xff"];

/** Listens to the room's channel and says again, later, twice and altered, what it hears. */
async function garbleHints(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  const { random, redis: server, redisPrefix } = world;
  using chat = await Chat.open(world, { people: 20 });
  using foreign = await Chat.open(world, { people: 2 });
  await Promise.all([chat.follow(10, { on: a }), chat.follow(10, { on: b })]);
  const channel = `${redisPrefix}:room:${findId("room", chat.room.id)}`;
  const foreignChannel = `${redisPrefix}:room:${findId("room", foreign.room.id)}`;
  let lies = 0;
  await server.ask((publisher) =>
    server.ask(async (subscriber) => {
      const heard: string[] = [];
      const say = (text: string, where = channel) => {
        lies++;
        return publisher.publish(where, text);
      };
      // From yet another node, so that none takes it for its own echo.
      const disguise = (text: string) => text.replace(/"from":"[^"]*"/, '"from":"somebody else"');
      subscriber.on("message", (_channel, text) => {
        if (!text.includes('"seq"') || text.includes("somebody else")) return; // our own lies
        heard.push(text);
        const old = heard[Math.floor(random() * heard.length)] ?? text;
        void Promise.all([
          say(disguise(text)), // doubled
          say(disguise(old)), // reordered
          say(disguise(text).replace(/"seq":\d+/, `"seq":${2 ** 53 - 1 - lies}`)), // never was
          say(disguise(text), foreignChannel),
          say(MALFORMED[lies % MALFORMED.length] ?? ""),
        ]).catch(() => {}); // the end of the row
      });
      await subscriber.subscribe(channel);
      await chat.trickleDuring({ perSecond: 100, on: [a, b] }, async () => {
        for (let n = 0; n < 10; n++) {
          await pause(500);
          await chat.commitSilently(3); // lost
        }
      });
    })
  );
  return await chat.verdict(`${count(lies)} lies`);
}
