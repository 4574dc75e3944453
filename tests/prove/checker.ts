/** The judge: compares what clients applied with what the log says. It knows nothing of how either came about, so the naive
 * chat is judged by the same eyes. */
import type { Journal } from "./journals.ts";

/** One event as the database has it. */
export interface Logged {
  readonly seq: number;
  readonly messageId: string | null;
}

export interface Faults {
  readonly missing: number;
  readonly doubled: number;
  readonly reordered: number;
  /** Another message under the number than the log has there. */
  readonly wrong: number;
  readonly resyncs: number;
}

export const NO_FAULTS: Faults = { missing: 0, doubled: 0, reordered: 0, wrong: 0, resyncs: 0 };

/** How the journal differs from the log, which begins after the journal's first position. */
export function compare(journal: Pick<Journal, "applied" | "resyncs">, log: readonly Logged[]): Faults {
  const seen = new Set<number>();
  const truth = new Map(log.map(({ seq, messageId }) => [seq, messageId]));
  let [doubled, reordered, wrong, newest] = [0, 0, 0, -Infinity];
  for (const { seq, messageId } of journal.applied) {
    if (seen.has(seq)) doubled++;
    else if (seq < newest) reordered++;
    if (truth.get(seq) !== messageId) wrong++;
    seen.add(seq);
    newest = Math.max(newest, seq);
  }
  const missing = log.filter(({ seq }) => !seen.has(seq)).length;
  return { missing, doubled, reordered, wrong, resyncs: journal.resyncs };
}

export function sum(all: readonly Faults[]): Faults {
  return all.reduce((one, other) => ({
    missing: one.missing + other.missing,
    doubled: one.doubled + other.doubled,
    reordered: one.reordered + other.reordered,
    wrong: one.wrong + other.wrong,
    resyncs: one.resyncs + other.resyncs,
  }), NO_FAULTS);
}

/** Which faults there are, each as a problem. */
export function problemsOf(faults: Faults, whose: string): string[] {
  return Object.entries(faults).flatMap(([name, count]) => count > 0 ? [`${count} ${name} (${whose})`] : []);
}
