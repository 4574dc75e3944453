/** What every event bus promises to the parts that use it. */
import { strict as assert } from "node:assert";
import { type Bus, MemoryBus } from "../src/platform/bus.ts";
import type { Log } from "../src/platform/log.ts";
import { RedisBus } from "../src/platform/redis_bus.ts";
import { TEST_REDIS_URL } from "./support/databases.ts";

/** Every implementation keeps the whole contract. */
const BUSES: Readonly<Record<string, (log: Log) => Promise<Bus>>> = {
  memory: (log) => Promise.resolve(new MemoryBus(log)),
  ...(TEST_REDIS_URL && { Redis: openRedisBus.bind(null, TEST_REDIS_URL) }),
};

for (const [name, open] of Object.entries(BUSES)) {
  const test = (promise: string, check: (bus: Bus, errors: readonly string[]) => Promise<void>) =>
    Deno.test(`${name} bus: ${promise}`, async () => {
      const errors: string[] = [];
      await using bus = await open(logOf(errors));
      await check(bus, errors);
    });

  test("each listener hears a message of its topic once, before publish returns", async (bus) => {
    const [heard, alsoHeard, elsewhere]: [unknown[], unknown[], unknown[]] = [[], [], []];
    await bus.subscribe("room:1", (message) => heard.push(message));
    await bus.subscribe("room:1", (message) => alsoHeard.push(message));
    await bus.subscribe("room:2", (message) => elsewhere.push(message));
    bus.publish("room:1", { seq: 1 });
    bus.publish("room:1", { seq: 2 });
    assert.deepEqual([heard, alsoHeard, elsewhere], [[{ seq: 1 }, { seq: 2 }], [{ seq: 1 }, { seq: 2 }], []]);
  });

  test("a throw in one listener is logged, and reaches neither the publisher nor the others", async (bus, errors) => {
    const heard: unknown[] = [];
    await bus.subscribe("room:1", (message) => heard.push(message));
    await bus.subscribe("room:1", () => {
      throw new Error("broken listener");
    });
    await bus.subscribe("room:1", (message) => heard.push(message));
    bus.publish("room:1", "hello");
    assert.deepEqual(heard, ["hello", "hello"]);
    assert.equal(errors.length, 1);
  });

  test("who has unsubscribed hears nothing more, and the others go on", async (bus) => {
    const [heard, stayed]: [unknown[], unknown[]] = [[], []];
    const unsubscribe = await bus.subscribe("room:1", (message) => heard.push(message));
    await bus.subscribe("room:1", (message) => stayed.push(message));
    bus.publish("room:1", "first");
    unsubscribe();
    bus.publish("room:1", "second");
    assert.deepEqual([heard, stayed], [["first"], ["first", "second"]]);
  });

  test("unsubscribing twice takes nothing from somebody who came later", async (bus) => {
    const heard: unknown[] = [];
    const unsubscribe = await bus.subscribe("room:1", () => {});
    unsubscribe();
    await bus.subscribe("room:1", (message) => heard.push(message));
    unsubscribe();
    bus.publish("room:1", "hello");
    assert.deepEqual(heard, ["hello"]);
  });

  test("one function may listen twice: ending one subscription leaves the other", async (bus) => {
    const heard: unknown[] = [];
    const listener = (message: unknown) => void heard.push(message);
    const unsubscribe = await bus.subscribe("room:1", listener);
    await bus.subscribe("room:1", listener);
    bus.publish("room:1", "to both");
    unsubscribe();
    bus.publish("room:1", "to one");
    assert.deepEqual(heard, ["to both", "to both", "to one"]);
  });

  test("a listener may unsubscribe itself and others while a message goes round", async (bus) => {
    const heard: string[] = [];
    const unsubscribe = await bus.subscribe("room:1", () => {
      heard.push("first");
      unsubscribe();
    });
    await bus.subscribe("room:1", () => heard.push("second"));
    bus.publish("room:1", "hello");
    bus.publish("room:1", "hello again");
    assert.deepEqual(heard, ["first", "second", "second"]);
  });

  test("a message that nobody waits for is lost, quietly", async (bus, errors) => {
    bus.publish("room:1", "nobody is here");
    const heard: unknown[] = [];
    await bus.subscribe("room:1", (message) => heard.push(message));
    assert.deepEqual([heard, errors], [[], []]);
  });
}

function openRedisBus(url: string, log: Log): Promise<Bus> {
  return RedisBus.open({ url, prefix: `test_${crypto.randomUUID()}`, log });
}

/** Keeps the errors, prints nothing. */
function logOf(errors: string[]): Log {
  return { debug() {}, info() {}, warn() {}, error: (message) => void errors.push(message) };
}
