/** Promises of the queues: done at least once, given up in the end, and never lost with a process or a connection. */
import { strict as assert } from "node:assert";
import type { JobHandler } from "../src/platform/jobs.ts";
import { startApp, type TestApp } from "./support/app.ts";
import { createTestDatabase, isClustered, terminateBackends, TEST_DATABASE_URL } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";
import { testWired } from "./support/wired_databases.ts";

interface Numbered {
  readonly number: number;
}

Deno.test("a job is done once, with the data that it was sent with", async () => {
  await using app = await startApp();
  const data = { text: `"quotes", 'others', \\ and {"json":"in a text"}`, list: [1, null, "2"], none: null };
  const done: unknown[] = [];
  await using _work = work(app, (job) => done.push(job));
  await app.app.jobs.send("errands", "one", data);
  await eventually("it is done", () => done.length > 0);
  await untilEmpty(app);
  assert.deepEqual(done, [data]);
});

Deno.test("a key that waits or is worked on is not queued again; once it is done it may be", async () => {
  await using app = await startApp();
  const { jobs } = app.app;
  for (const number of [1, 2, 3]) await jobs.send("errands", "same", { number });
  assert.deepEqual([...await jobs.listKeys("errands")], ["same"]);

  const { promise: isAllowed, resolve: allow } = Promise.withResolvers<void>();
  const begun: number[] = [];
  await using _work = work(app, async ({ number }) => {
    begun.push(number);
    await isAllowed;
  });
  await eventually("it is worked on", () => begun.length > 0);
  await jobs.send("errands", "same", { number: 4 });
  allow();
  await untilEmpty(app);
  await jobs.send("errands", "same", { number: 5 });
  await eventually("it is done again", () => begun.length > 1);
  assert.deepEqual(begun, [1, 5]);
});

Deno.test("a job that fails is tried three times, then handed to whoever tidies up", async () => {
  await using app = await startApp();
  const calls: string[] = [];
  await using _work = app.app.jobs.work<Numbered>("errands", ({ number }) => {
    calls.push(`try ${number}`);
    return Promise.reject(new Error("not today"));
  }, {
    concurrency: 1,
    onExhausted({ number }) {
      calls.push(`exhausted ${number}`);
      return Promise.resolve();
    },
  });
  await app.app.jobs.send("errands", "one", { number: 7 });
  await eventually("it is given up", () => calls.length === 4);
  await untilEmpty(app);
  assert.deepEqual(calls, ["try 7", "try 7", "try 7", "exhausted 7"]);
});

Deno.test("as many jobs are worked on at a time as there may be", async () => {
  await using app = await startApp();
  let [busy, most, done] = [0, 0, 0];
  const { promise: allBusy, resolve: start } = Promise.withResolvers<void>();
  await using _work = work(app, async () => {
    most = Math.max(most, ++busy);
    if (busy === 3) start();
    await allBusy;
    busy--;
    done++;
  }, 3);
  await Promise.all(
    Array.from({ length: 12 }, (_, number) => app.app.jobs.send("errands", `${number}`, { number })),
  );
  await eventually("all are done", () => done === 12);
  assert.equal(most, 3);
});

Deno.test("jobs wait for the next server where one has ended", async () => {
  await using database = await createTestDatabase();
  {
    await using app = await startApp(database.config);
    await app.app.jobs.send("errands", "one", { number: 1 });
  }
  await using app = await startApp(database.config);
  const done: number[] = [];
  await using _work = work(app, ({ number }) => done.push(number));
  await eventually("it is done", () => done.length === 1);
});

Deno.test({
  name: "a job is done by one node, and all nodes together do all of them",
  ignore: !isClustered,
  async fn() {
    await using app = await startApp();
    await using other = await startApp({}, { joins: app });
    const done = new Map([[app, [] as number[]], [other, [] as number[]]]);
    const { promise: bothAtWork, resolve: start } = Promise.withResolvers<void>();
    await using stack = new AsyncDisposableStack();
    for (const [node, numbers] of done) {
      stack.use(work(node, async ({ number }) => {
        numbers.push(number);
        if ([...done.values()].every(({ length }) => length > 0)) start();
        await bothAtWork;
      }));
    }
    for (let number = 0; number < 20; number++) await app.app.jobs.send("errands", `${number}`, { number });
    await untilEmpty(app);
    const all = [...done.values()].flat().sort((a, b) => a - b);
    assert.deepEqual(all, Array.from({ length: 20 }, (_, number) => number));
  },
});

Deno.test({
  name: "jobs go on by themselves after the database has ended all connections",
  ignore: TEST_DATABASE_URL === null,
  async fn() {
    await using app = await startApp();
    const done = new Set<number>();
    await using _work = work(app, async ({ number }) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      done.add(number);
    }, 2);
    for (let number = 0; number < 30; number++) {
      if (number % 7 === 3) await terminateBackends(app.app.sql).catch(() => {});
      await eventually(
        "it is taken",
        () => app.app.jobs.send("errands", `${number}`, { number }).then(() => true, () => false),
      );
    }
    await eventually("all are done", () => done.size === 30);
  },
});

testWired("jobs go on by themselves after the database has frozen, or refused everybody", async (app) => {
  const { wire } = app;
  const done: number[] = [];
  await using _work = work(app, ({ number }) => done.push(number));
  const send = (number: number) => app.app.jobs.send("errands", `${number}`, { number });
  const outages = [[() => wire.stall(), () => wire.flow()], [() => wire.refuse(), () => wire.accept()]] as const;
  for (const [index, [begin, end]] of outages.entries()) {
    await send(index);
    await eventually("it is done", () => done.includes(index));
    begin();
    wire.cut(() => index === 1);
    await assert.rejects(send(100 + index), "who sends is told");
    end();
    await eventually("a job is taken again", () => send(10 + index).then(() => true, () => false));
    await eventually("and done", () => done.includes(10 + index));
  }
});

function work(app: TestApp, act: (data: Numbered) => unknown, concurrency = 1): AsyncDisposable {
  const handler: JobHandler<Numbered> = async (data) => void await act(data);
  return app.app.jobs.work("errands", handler, { concurrency, onExhausted: () => Promise.resolve() });
}

async function untilEmpty(app: TestApp): Promise<void> {
  await eventually("no job is left", async () => (await app.app.jobs.listKeys("errands")).size === 0);
}
