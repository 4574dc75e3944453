/** What a row is, what comes out of it, and how that is shown. */
import type { World } from "./world.ts";

/** One promise put to the test. */
export interface Row {
  /** Short, to be named on the command line. */
  readonly name: string;
  readonly promise: string;
  readonly deed: string;
  /** Stops, signals or restarts these servers, which must be ours. (Default: none) */
  readonly harms?: readonly ("postgres" | "redis")[];
  readonly run: (world: World) => Promise<Verdict>;
}

export interface Verdict {
  readonly figures: readonly string[];
  /** Why the promise was not kept; empty when it was. */
  readonly problems: readonly string[];
}

export type Outcome = "pass" | "FAIL" | "skipped" | "control fails as it should" | "CONTROL DOES NOT FAIL";

export interface Result {
  readonly promise: string;
  readonly deed: string;
  readonly figures: string;
  readonly outcome: Outcome;
}

export function isBad({ outcome }: Result): boolean {
  return outcome === "FAIL" || outcome === "CONTROL DOES NOT FAIL";
}

export function judge({ promise, deed }: Pick<Result, "promise" | "deed">, { figures, problems }: Verdict): Result {
  const said = problems.length === 0 ? figures : [`**${problems.join("; ")}**`, ...figures];
  return { promise, deed, figures: said.join("; "), outcome: problems.length === 0 ? "pass" : "FAIL" };
}

/** The other way round: a control that does not show the fault would mean that the row finds nothing. */
export function judgeControl(
  { promise, deed, mustShow }: Pick<Result, "promise" | "deed"> & { readonly mustShow: RegExp },
  { figures, problems }: Verdict,
): Result {
  const fails = problems.some((problem) => mustShow.test(problem));
  return {
    promise,
    deed,
    figures: [...problems, ...figures].join("; "),
    outcome: fails ? "control fails as it should" : "CONTROL DOES NOT FAIL",
  };
}

/** As Markdown, to be pasted where it is needed. */
export function formatTable(results: readonly Result[]): string {
  const rows = results.map(({ promise, deed, figures, outcome }) => [promise, deed, figures, outcome]);
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    line(["promise", "what was done", "figures", "verdict"]),
    line(["---", "---", "---", "---"]),
    ...rows.map(line),
  ]
    .join("\n");
}

/** 1234567 → "1,234,567"; fractions are rounded. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

export function milliseconds(ms: number): string {
  return `${count(ms)} ms`;
}

export function megabytes(bytes: number): string {
  return `${count(bytes / 1024 / 1024)} MB`;
}

/** The value below which this share of them lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
