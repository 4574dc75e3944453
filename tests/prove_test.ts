/** The judge of `deno task prove` sees every kind of fault; a judge that is blind would let everything pass. */
import { strict as assert } from "node:assert";
import { compare, type Logged, NO_FAULTS } from "./prove/checker.ts";
import { type Applied, Journal } from "./prove/journals.ts";
import { judgeControl } from "./prove/verdicts.ts";

const LOG: readonly Logged[] = [1, 2, 3, 4].map((seq) => ({ seq, messageId: `message_${seq}` }));

Deno.test("a journal that is as the log has no fault", () => {
  assert.deepEqual(compare(journal(1, 2, 3, 4), LOG), NO_FAULTS);
});

Deno.test("an event that never came is missing, in the middle as at the end", () => {
  assert.deepEqual(compare(journal(1, 3, 4), LOG), { ...NO_FAULTS, missing: 1 });
  assert.deepEqual(compare(journal(1, 2), LOG), { ...NO_FAULTS, missing: 2 });
  assert.deepEqual(compare(journal(), LOG), { ...NO_FAULTS, missing: 4 });
});

Deno.test("an event that came twice is doubled, at once as later", () => {
  assert.deepEqual(compare(journal(1, 2, 2, 3, 4), LOG), { ...NO_FAULTS, doubled: 1 });
  assert.deepEqual(compare(journal(1, 2, 3, 4, 1), LOG), { ...NO_FAULTS, doubled: 1 });
});

Deno.test("an event that came after a later one is reordered, not missing", () => {
  assert.deepEqual(compare(journal(1, 3, 2, 4), LOG), { ...NO_FAULTS, reordered: 1 });
});

Deno.test("another message under the same number is wrong, and so is one that the log does not have", () => {
  const other: Applied = { seq: 2, messageId: "message_9", atMs: 0 };
  const [first, , ...rest] = journal(1, 2, 3, 4).applied as [Applied, ...Applied[]];
  assert.deepEqual(compare({ applied: [first, other, ...rest], resyncs: 0 }, LOG), { ...NO_FAULTS, wrong: 1 });
  assert.deepEqual(compare(journal(1, 2, 3, 4, 5), LOG), { ...NO_FAULTS, wrong: 1 });
});

Deno.test("a resync is a fault: nothing that is proved allows to forget a cursor", () => {
  const kept = new Journal("epoch.0");
  kept.apply({ cursor: "epoch.4", events: [{ __typename: "RoomResyncEvent", cursor: "epoch.4" }] });
  assert.deepEqual(compare(kept, LOG), { ...NO_FAULTS, missing: 4, resyncs: 1 });
});

Deno.test("a control that shows another fault than it must proves nothing", () => {
  const row = { promise: "", deed: "", mustShow: /missing/ };
  assert.equal(judgeControl(row, { figures: [], problems: ["3 missing"] }).outcome, "control fails as it should");
  assert.equal(judgeControl(row, { figures: [], problems: ["the row broke"] }).outcome, "CONTROL DOES NOT FAIL");
});

function journal(...seqs: number[]): Journal {
  const kept = new Journal("epoch.0");
  for (const seq of seqs) {
    const cursor = `epoch.${seq}`;
    kept.apply({
      cursor,
      events: [{ __typename: "MessageSentEvent", cursor, message: { id: `message_${seq}` } }],
    });
  }
  return kept;
}
