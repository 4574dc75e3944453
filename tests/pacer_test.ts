/** Promises of work that comes in pieces: none is lost, and whatever else waits is not held up by all of it. */
import { strict as assert } from "node:assert";
import { Pacer } from "../src/http/pacer.ts";

Deno.test("of many pieces at once a few have their turn, in order, and the rest when others had theirs", async () => {
  await using pacer = new Pacer(2);
  const seen: number[] = [];
  const all = Promise.all(Array.from({ length: 7 }, async (_, index) => {
    await pacer.take();
    seen.push(index);
  }));
  for (let step = 0; step < 100; step++) await null; // all of this turn
  assert.deepEqual(seen, [0, 1]);
  await all;
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6]);
});

Deno.test("whoever comes while nobody waits has its turn at once, also after a rest", async () => {
  await using pacer = new Pacer(2);
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 3; index++) await pacer.take();
    await pacer[Symbol.asyncDispose]();
  }
});
