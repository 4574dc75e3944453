/** Names of files, as people gave them: shown to others and written into headers, and never part of a path on the server. */

/** Bytes of UTF-8: what most file systems take. */
const NAME_BYTES_MAX = 255;
/** Bytes of an extension that survives when the name is cut, with its dot. */
const EXTENSION_BYTES_MAX = 32;
const FALLBACK_NAME = "file";

/** Control characters, ends of lines, half surrogate pairs, and what reverses text: `photo<U+202E>gpj.exe` reads as `photoexe.jpg`. */
const UNWANTED = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** No file on Windows may have them in its name. */
const RESERVED = /[<>:"|?*]/g;

/** The name alone, in a form that is safe to show and to save under anywhere; `file` where nothing is left of it. */
export function cleanFilename(text: string): string {
  const path = text.replace(UNWANTED, "").normalize("NFC");
  const name = path.split(/[\\/]/).findLast((part) => trimEnds(part) !== "") ?? "";
  return cutName(trimEnds(name.replace(RESERVED, "_"))) || FALLBACK_NAME;
}

/** Value of the header (RFC 6266): the name for all clients, with what an old one can't read replaced. */
export function contentDisposition(kind: "inline" | "attachment", filename: string): string {
  // Some clients decode `%41` in the plain form as well.
  const plain = filename.replace(/[^\x20-\x7e]+|%/g, "_").replace(/["\\]/g, "\\$&");
  const encoded = encodeURIComponent(filename.toWellFormed()).replace(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${kind}; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

/** Without blanks and dots at both ends: `..` is a directory, and Windows drops those at the end. Not by a pattern: on many
 * blanks in the middle that takes the square of their number. */
function trimEnds(name: string): string {
  const isLoose = (character = "x") => character === "." || character.trim() === "";
  let [start, end] = [0, name.length];
  while (start < end && isLoose(name[start])) start++;
  while (start < end && isLoose(name[end - 1])) end--;
  return name.slice(start, end);
}

function cutName(name: string): string {
  if (countBytes(name) <= NAME_BYTES_MAX) return name;
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 && countBytes(name.slice(dot)) <= EXTENSION_BYTES_MAX ? name.slice(dot) : "";
  const stem = name.slice(0, name.length - extension.length);
  return trimEnds(cutBytes(stem, NAME_BYTES_MAX - countBytes(extension))) + extension;
}

/** Whole characters. */
function cutBytes(text: string, bytesMax: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}

function countBytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
