/** What becomes of the promises while Postgres crashes, throws everybody out, or stands still. */
import { terminateBackends, withSql } from "../support/databases.ts";
import { Chat } from "./chat.ts";
import { pause } from "./system.ts";
import { count, type Row, type Verdict } from "./verdicts.ts";
import { own, type World } from "./world.ts";

export const POSTGRES_ROWS: readonly Row[] = [
  {
    name: "postgres-crash",
    promise: "Acknowledged survives a crash of Postgres",
    deed: "pg_ctl restart -m immediate, 3 times, at 100 sends a second",
    harms: ["postgres"],
    run: (world) =>
      sendDuring(world, async () => {
        for (let crash = 0; crash < 3; crash++) {
          await pause(1_000 + world.random() * 500);
          await own(world.postgres).crash();
        }
        await pause(1_000);
        return ["3 crashes"];
      }),
  },
  {
    name: "postgres-backends-killed",
    promise: "A connection that dies takes no acknowledged message with it",
    deed: "pg_terminate_backend for every connection, every 2 s for 30 s",
    run: (world) => sendDuring(world, () => terminateRepeatedly(world)),
  },
  {
    name: "postgres-frozen",
    promise: "A Postgres that answers nothing leaves no request without an answer",
    deed: "SIGSTOP of all its processes for 15 s",
    harms: ["postgres"],
    run: (world) =>
      sendDuring(world, async () => {
        const postgres = own(world.postgres);
        await pause(1_000);
        await postgres.freeze();
        await pause(15_000);
        await postgres.thaw();
        await pause(2_000);
        return [];
      }),
  },
];

/** Both nodes send and follow while something happens to Postgres. */
async function sendDuring(world: World, act: () => Promise<readonly string[]>): Promise<Verdict> {
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 20 });
  await Promise.all([chat.follow(10, { on: a }), chat.follow(10, { on: b })]);
  const figures: string[] = [];
  await chat.trickleDuring({ perSecond: 100, on: [a, b] }, async () => figures.push(...await act()));
  return await chat.verdict(...figures);
}

async function terminateRepeatedly({ postgres }: World): Promise<string[]> {
  let terminated = 0;
  await withSql({ url: postgres.url }, async (sql) => {
    for (let time = 0; time < 15; time++) {
      await pause(2_000);
      terminated += await terminateBackends(sql);
    }
  });
  return [`${count(terminated)} connections terminated`];
}
