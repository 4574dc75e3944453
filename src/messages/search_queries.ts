/** What people type into the search field, read as `websearch_to_tsquery` does: words that must all be there, "phrases", `or`
 * between alternatives, `-` before what must not be there. Pure. */
import { AppError } from "../errors.ts";
import { countCharacters } from "../lib/texts.ts";
import { gramsWithin, joinRuns, normalise, type Run, runsOf } from "./grams.ts";

const QUERY_MAX = 200;
const TERMS_MAX = 16;

/** One word or phrase, in the form of `message_texts.folded`. */
export interface Term {
  /** In every text that has the term. */
  readonly grams: readonly number[];
  /** The text has this part; with a space in front where it must begin a word. */
  readonly part: string;
  /** The same between the ends of words, for the better matches. */
  readonly whole: string;
}

/** What one side of an `or` asks for. */
export interface Alternative {
  /** At least one. */
  readonly all: readonly Term[];
  readonly none: readonly Term[];
}

/** Nothing where no word was typed yet. Throws BAD_USER_INPUT for a query that is too long, has too many terms or says only what
 * must not be there. */
export function parseQuery(query: string): Alternative[] {
  const characters = countCharacters(query);
  if (characters > QUERY_MAX) {
    throw refuse(`the query has ${characters} characters, the limit is ${QUERY_MAX}`, QUERY_MAX);
  }
  const alternatives: { all: Term[]; none: Term[] }[] = [{ all: [], none: [] }];
  let terms = 0;
  for (const [, minus, phrase, word] of query.matchAll(/(-?)(?:"([^"]*)"?|([^\s"]+))/g)) {
    if (minus === "" && word?.toLowerCase() === "or") {
      alternatives.push({ all: [], none: [] });
      continue;
    }
    const term = toTerm(phrase ?? word ?? "");
    if (term === null) continue;
    if (++terms > TERMS_MAX) throw refuse(`the limit is ${TERMS_MAX} words and phrases`, TERMS_MAX);
    alternatives.at(-1)?.[minus === "" ? "all" : "none"].push(term);
  }
  const meant = alternatives.filter(({ all, none }) => all.length + none.length > 0); // an `or` too many says nothing
  if (meant.some(({ all }) => all.length === 0)) throw refuse("there is no word to look for");
  return meant;
}

function refuse(state: string, limit?: number): AppError {
  return new AppError("BAD_USER_INPUT", `Cannot search: ${state}`, limit === undefined ? {} : { limit });
}

function toTerm(text: string): Term | null {
  const runs = runsOf(normalise(text));
  const [first] = runs;
  if (first === undefined) return null;
  const joined = joinRuns(runs).trim();
  return {
    grams: gramsWithin(runs),
    part: isShort(first) ? ` ${joined}` : joined,
    // Where words are not spaced, every match is as good.
    whole: (first.kind === "SPACED" ? " " : "") + joined + (runs.at(-1)?.kind === "SPACED" ? " " : ""),
  };
}

/** One or two letters are in almost every text: alone they ask for words that begin with them. */
function isShort({ kind, text }: Run): boolean {
  return kind === "SPACED" && countCharacters(text) < 3;
}
