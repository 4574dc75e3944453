/** Promises of the index of message search. */
import { strict as assert } from "node:assert";
import { GRAMS_MAX, gramsOf, joinRuns, normalise, runsOf } from "../src/messages/grams.ts";
import { parseQuery } from "../src/messages/search_queries.ts";

const TEXTS = [
  "Weiße Straße in Łódź, ÆSIR",
  "ὁ ΔΡΌΜΟΣ του ποταμού",
  "Съешь ещё этих мягких булок",
  "مُحَمَّد في المدرسة",
  "שָׁלוֹם עולם",
  "नमस्ते दुनिया",
  "ฉันกินข้าวที่บ้าน",
  "我们明天去北京开会 at 9:30",
  "東京タワーへ行くﾀﾞ",
  "한국어를 공부합니다",
  "ship it 🚀🚀 C++ 👍🏽, x² ≤ 10 ﬁne",
];

const fold = (text: string) => joinRuns(runsOf(normalise(text)));

Deno.test("the index never hides a text that has the words: their grams are all among those of the text", () => {
  let checked = 0;
  for (const text of TEXTS) {
    const grams = new Set(gramsOf(runsOf(normalise(text))));
    const folded = fold(text);
    const letters = [...text];
    for (let start = 0; start < letters.length; start++) {
      for (let end = start + 1; end <= letters.length; end++) {
        const query = letters.slice(start, end).join("").replaceAll(/["-]/g, " ");
        if (fold(query) === "  ") continue;
        const [{ all } = { all: [] }] = parseQuery(`"${query}"`);
        for (const { part, grams: wanted } of all) {
          if (!folded.includes(part)) continue;
          checked++;
          for (const gram of wanted) assert.ok(grams.has(gram), `${query} in ${text}`);
        }
      }
    }
  }
  assert.ok(checked > 1_500, `only ${checked} were checked`);
});

Deno.test("a text is the same text in every form of Unicode", () => {
  for (const text of TEXTS) {
    const forms = [text.normalize("NFD"), text.normalize("NFKC"), text.toUpperCase(), text.toLowerCase()];
    for (const form of forms) assert.equal(fold(form), fold(text), form);
  }
  assert.equal(fold("soft\u00adhy\u200bphen, ｆｕｌｌ　ｗｉｄｔｈ"), " softhyphen full width ");
  assert.notEqual(fold("か"), fold("が"), "voicing makes another syllable");
  assert.notEqual(fold("की"), fold("का"), "a vowel sign makes another one");
});

Deno.test("4,000 different Chinese characters fit into the index, and no text makes more than fits", () => {
  const han = (count: number) => String.fromCodePoint(...Array.from({ length: count }, (_, index) => 0x4e00 + index));
  assert.equal(gramsOf(runsOf(normalise(han(4_000)))).length, 7_999);
  assert.equal(gramsOf(runsOf(normalise(han(9_000)))).length, GRAMS_MAX);
  assert.ok(fold("\ufdfa ".repeat(4_000)).length < 20_000, "one character that is eighteen");
});
