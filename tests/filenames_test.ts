/** Names of files: what is left of what people and programs send. */
import { strict as assert } from "node:assert";
import { cleanFilename, contentDisposition } from "../src/lib/filenames.ts";
import { seededRandom } from "./support/random.ts";

const byteSize = (text: string) => new TextEncoder().encode(text).length;

Deno.test("a name that is fine stays as it is, in any language", () => {
  const names = ["photo.jpg", "Jahresbericht 2026 (final).pdf", "写真.png", "Ärger.tar.gz", "👩‍👩‍👧.gif", "no extension"];
  for (const name of names) assert.equal(cleanFilename(name), name);
});

Deno.test("a name has no path, whichever way its slashes lean", () => {
  const names = {
    "/etc/passwd": "passwd",
    "../../secret.txt": "secret.txt",
    "C:\\Users\\alice\\photo.png": "photo.png",
    "a\\b/c.png": "c.png",
    "folder/": "folder",
    "folder/..": "folder",
  };
  for (const [given, clean] of Object.entries(names)) assert.equal(cleanFilename(given), clean, given);
});

Deno.test("a name has nothing that breaks headers, hides its end or fails on Windows", () => {
  const names = {
    "a\r\nSet-Cookie: b.png": "aSet-Cookie_ b.png",
    "nul\0byte.png": "nulbyte.png",
    "photo\u202egpj.exe": "photogpj.exe",
    "\u2066a\u2069\u200e\u200f\u061cb.png": "ab.png",
    "half \ud83d pair.png": "half  pair.png",
    "line\u2028end.png": "lineend.png",
    '<a>:"b"|?*.png': "_a___b____.png",
    "  .hidden. . ": "hidden",
    "e\u0301.png": "\u00e9.png",
    "e\u0000\u0301.png": "\u00e9.png",
  };
  for (const [given, clean] of Object.entries(names)) assert.equal(cleanFilename(given), clean, JSON.stringify(given));
});

Deno.test("a name is never empty", () => {
  for (const given of ["", " ", ".", "..", "/", "\\\\", "../..", "\0", "\u202e", "\ud800", " . / . "]) {
    assert.equal(cleanFilename(given), "file", JSON.stringify(given));
  }
});

Deno.test("a name that is too long is cut on a character, and keeps its extension", () => {
  assert.equal(cleanFilename(`${"a".repeat(300)}.jpeg`), `${"a".repeat(250)}.jpeg`);
  const cut = cleanFilename(`${"😀".repeat(100)}.png`);
  assert.equal(cut, `${"😀".repeat(62)}.png`);
  assert.equal(cleanFilename(`a.${"b".repeat(300)}`), `a.${"b".repeat(253)}`);
  assert.equal(cleanFilename(`${"a".repeat(200)}${" ".repeat(200)}.png`), `${"a".repeat(200)}.png`);
  assert.equal(byteSize(cleanFilename("é".repeat(300))), 254);
});

Deno.test("whatever comes, the name is clean, and cleaning it again changes nothing", () => {
  const random = seededRandom(7);
  const alphabet = [..."ab.. //\\\\<>:\"|?*%'\0\r\n\u202e\u0301\u00e9😀", "\ud83d", "\ude00"];
  for (let round = 0; round < 2_000; round++) {
    const given = Array.from({ length: random() * 400 }, () => alphabet[Math.floor(random() * alphabet.length)]).join(
      "",
    );
    const clean = cleanFilename(given);
    const about = JSON.stringify(given);
    assert.equal(cleanFilename(clean), clean, about);
    assert.ok(
      clean !== "" && byteSize(clean) <= 255 && clean.isWellFormed() && clean === clean.normalize("NFC"),
      about,
    );
    // deno-lint-ignore no-control-regex -- they are what must not be there
    assert.doesNotMatch(clean, /[\x00-\x1f\x7f<>:"|?*\\/\u202e]|^[. ]|[. ]$/, about);
  }
});

Deno.test("a name of a million blanks costs no time worth a mention", () => {
  assert.equal(cleanFilename(`a${" ".repeat(1_000_000)}b.png`).length, 5);
});

Deno.test("a header names the file for old clients and for new ones", () => {
  assert.equal(
    contentDisposition("attachment", "report.pdf"),
    `attachment; filename="report.pdf"; filename*=UTF-8''report.pdf`,
  );
  assert.equal(
    contentDisposition("inline", "Größe 50% \"x\" 'y' (1)*.png"),
    `inline; filename="Gr_e 50_ \\"x\\" 'y' (1)*.png"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%2050%25%20%22x%22%20%27y%27%20%281%29%2A.png`,
  );
  assert.equal(contentDisposition("inline", "写真"), `inline; filename="_"; filename*=UTF-8''%E5%86%99%E7%9C%9F`);
});

Deno.test("no name gets out of the header", () => {
  for (const name of ['a"; filename=b', "a\r\nX: y", "a\\", "\ud800", "a;b=c"]) {
    const value = contentDisposition("attachment", name);
    assert.equal(new Headers({ "content-disposition": value }).get("content-disposition"), value);
    assert.match(value, /^attachment; filename="(?:[^"\\]|\\.)*"; filename\*=UTF-8''[\w.~%-]*$/);
  }
});
