/** Excerpts of messages around what a search found, with every match marked. Pure. */
import { joinRuns, normalise, runsOf } from "./grams.ts";
import type { Alternative } from "./search_queries.ts";

/** Around a match: private-use characters, which are taken out of the text itself first. */
const MATCH_START = "\ue000";
const MATCH_END = "\ue001";

/** UTF-16 units of an excerpt, and of them before the first match. */
const LENGTH = 160;
const LEAD = 50;
/** How far to look for the end of a word. */
const WORD = 24;

/** A letter with what combines with it: the smallest stretch that is normalised by itself. Hangul may come in parts, half-width
 * kana with its voicing after it. */
const CLUSTER = /[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]+\p{M}*|\P{M}[\p{M}\uff9e\uff9f]*|\p{M}+/gu;

const WORDS = new Intl.Segmenter("und", { granularity: "word" });

export function makeSnippet(content: string, query: readonly Alternative[]): string {
  const text = content.replaceAll(/[\ue000\ue001]/g, "").replaceAll(/\s+/g, " ").trim();
  const matches = findMatches(text, query);
  const [first = { start: 0, end: 0 }] = matches;
  const start = cut(text, first.start - LEAD, "start", first.start);
  const end = Math.max(cut(text, start + LENGTH, "end", start), Math.min(first.end, text.length));
  let snippet = start > 0 ? "…" : "";
  let place = start;
  for (const match of matches.filter((each) => each.start < end)) {
    const stop = Math.min(match.end, end);
    snippet += text.slice(place, match.start) + MATCH_START + text.slice(match.start, stop) + MATCH_END;
    place = stop;
  }
  return snippet + text.slice(place, end) + (end < text.length ? "…" : "");
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where the text has terms of the query, in order and apart. */
function findMatches(text: string, query: readonly Alternative[]): Range[] {
  const { folded, origins } = foldWithOrigins(text);
  const found: Range[] = [];
  for (const { part } of query.flatMap(({ all }) => all)) {
    const lead = part.length - part.trimStart().length;
    for (let at = folded.indexOf(part); at >= 0; at = folded.indexOf(part, at + 1)) {
      const [from, to] = [origins[at + lead], origins[at + part.length - 1]];
      if (from && to) found.push({ start: from.start, end: to.end });
    }
  }
  const apart: Range[] = [];
  for (const match of found.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = apart.at(-1);
    if (last === undefined || match.start >= last.end) apart.push(match);
    else apart[apart.length - 1] = { start: last.start, end: Math.max(last.end, match.end) };
  }
  return apart;
}

/** The folded text, and for each of its units the stretch of the text that it came from; none for the spaces. */
function foldWithOrigins(text: string): { folded: string; origins: (Range | undefined)[] } {
  let normalised = "";
  const sources: Range[] = [];
  for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
    const piece = normalise(cluster);
    for (let unit = 0; unit < piece.length; unit++) sources.push({ start: index, end: index + cluster.length });
    normalised += piece;
  }
  const runs = runsOf(normalised);
  const origins = runs.flatMap((run) => [undefined, ...sources.slice(run.index, run.index + run.text.length)]);
  return { folded: joinRuns(runs), origins };
}

/** The nearest place at or after `at` where a word ends or begins; for the end of an excerpt at or before it. Not beyond
 * `limit`. */
function cut(text: string, at: number, side: "start" | "end", limit: number): number {
  if (at <= 0) return 0;
  if (at >= text.length) return text.length;
  const from = Math.max(0, at - WORD);
  const places = Array.from(WORDS.segment(text.slice(from, at + WORD)), ({ index }) => from + index).slice(1)
    .filter((place) => !/\s/.test(text.charAt(side === "start" ? place : place - 1)));
  if (side === "start") return places.find((place) => place >= at && place <= limit) ?? limit;
  return places.findLast((place) => place <= at && place > limit) ?? at;
}
