/** What search sees of a text: folded runs of letters, and short pieces of them ("grams") as numbers for the index. Pure.
 *
 * A run is a stretch of one kind: letters of scripts that put spaces between words, letters of scripts that don't, or
 * symbols. Folded, a text is its runs with single spaces around each, so that punctuation, Markdown and line breaks do not
 * come between the words of a phrase. */

/** Grams of one message: all of those that 4,000 Chinese characters have (each one and each pair). A longer text, which
 * takes a larger MAX_MESSAGE_LENGTH, is found by its beginning. */
export const GRAMS_MAX = 8_000;
/** UTF-16 units of a text that are looked at: NFKC makes eighteen letters of one `ﷺ`. */
const FOLDED_MAX = 16_000;

export type RunKind = "SPACED" | "UNSPACED" | "SYMBOLS";

export interface Run {
  readonly kind: RunKind;
  readonly text: string;
  /** Where it begins in the normalised text. */
  readonly index: number;
}

/** Accents and vowel points, which people leave out when they search: of Latin, Greek, Cyrillic, Hebrew and Arabic. Not those
 * that make another letter or syllable: voicing of kana (か, が), vowel signs of Indic scripts and Thai. And what is not seen:
 * joiners, soft hyphens, variation selectors, the Arabic tatweel. */
const DROPPED =
  /[[[\p{Mn}&&[\p{Script=Inherited}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Hebrew}\p{Script=Arabic}]]--[\u3099\u309a]]\p{Me}\p{Cf}\u0640]/gv;

/** Letters that NFKC leaves alone and people type as others (after the case folding of Unicode, and its spirit). */
const ALIKE: Readonly<Record<string, string>> = {
  ß: "ss",
  ς: "σ",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ð: "d",
  ħ: "h",
  ı: "i",
  þ: "th",
};
const ALIKE_LETTERS = new RegExp(`[${Object.keys(ALIKE).join("")}]`, "gu");

const UNSPACED = String.raw`[[\p{L}\p{M}\p{N}]&&[${
  ["Hani", "Hira", "Kana", "Hang", "Thai", "Laoo", "Khmr", "Mymr"].map((script) => String.raw`\p{scx=${script}}`).join(
    "",
  )
}]]`;
// Of ASCII only + and #, for C++ and C#: the others are Markdown.
const RUN = new RegExp(
  String.raw`(${UNSPACED}+)|([[\p{L}\p{M}\p{N}]--${UNSPACED}]+)|[+#[\p{S}--[\0-\x7f]]]+`,
  "gv",
);

/** The text in the one form in which it is compared: compatibility forms, case and accents are gone. */
export function normalise(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").toLowerCase()
    .replace(DROPPED, "")
    .replace(ALIKE_LETTERS, (letter) => ALIKE[letter] ?? letter)
    .normalize("NFKC");
}

export function runsOf(normalised: string): Run[] {
  return Array.from(normalised.slice(0, FOLDED_MAX).matchAll(RUN), ({ 0: text, 1: unspaced, 2: spaced, index }) => ({
    kind: unspaced !== undefined ? "UNSPACED" : spaced !== undefined ? "SPACED" : "SYMBOLS",
    text,
    index,
  }));
}

/** ` the runs like this `; letters, digits and symbols only, so nothing in it means anything to `like`. */
export function joinRuns(runs: readonly Run[]): string {
  return ` ${runs.map(({ text }) => text).join(" ")} `;
}

/** All grams of a text, for the index. */
export function gramsOf(runs: readonly Run[]): number[] {
  const grams = new Set<number>();
  for (const { kind, text } of runs) {
    const letters = lettersOf(text);
    if (kind === "SPACED") {
      grams.add(beginning(letters, 1)).add(beginning(letters, 2));
      addPieces(grams, letters, 3);
    } else {
      addPieces(grams, letters, 1);
      if (kind === "UNSPACED") addPieces(grams, letters, 2);
    }
    if (grams.size >= GRAMS_MAX) break;
  }
  return [...grams].slice(0, GRAMS_MAX);
}

/** The largest grams that every text has in which these runs stand one after the other. One or two letters of a script with
 * spaces begin a word there; longer ones may be anywhere in it. */
export function gramsWithin(runs: readonly Run[]): number[] {
  const grams = new Set<number>();
  for (const [place, { kind, text }] of runs.entries()) {
    const letters = lettersOf(text);
    if (kind === "SPACED") {
      if (place > 0 || letters.length < 3) grams.add(beginning(letters, 2));
      addPieces(grams, letters, 3);
    } else {
      addPieces(grams, letters, kind === "UNSPACED" && letters.length > 1 ? 2 : 1);
    }
  }
  return [...grams];
}

function lettersOf(text: string): readonly string[] {
  return [...text];
}

function addPieces(grams: Set<number>, letters: readonly string[], size: number): void {
  for (let end = size; end <= letters.length; end++) {
    let hash = OFFSET;
    for (let place = end - size; place < end; place++) hash = mix(hash, letters[place] ?? "");
    grams.add(hash);
  }
}

/** Of a word with one letter, both beginnings are the same. */
function beginning(letters: readonly string[], size: number): number {
  let hash = mix(OFFSET, " ");
  for (let place = 0; place < Math.min(size, letters.length); place++) hash = mix(hash, letters[place] ?? "");
  return hash;
}

// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) over UTF-16 units. Two grams with one number only cost a look at
// the text: what the index finds is compared in full.
const OFFSET = 0x811c9dc5 | 0;

function mix(hash: number, letter: string): number {
  for (let place = 0; place < letter.length; place++) hash = Math.imul(hash ^ letter.charCodeAt(place), 0x01000193);
  return hash;
}
