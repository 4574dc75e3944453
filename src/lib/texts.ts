/** Checks of texts that people type. Those that refuse one throw an `AppError` with the `path` of the form field. */
import { AppError } from "../errors.ts";

const PEOPLE_QUERY_MAX = 80;

/** Characters as people count them: one per code point, so that an emoji is not two. */
export function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Whether Postgres gives back what was sent: it stores no U+0000, and half a surrogate pair becomes another character. */
export function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/** The trimmed text. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function requireText(field: string, value: string, charactersMax: number): string {
  const text = optionalText(field, value, charactersMax);
  if (text === null) throw new AppError("EMPTY", `Cannot use \`${field}\`: it is empty`, { path: [field] });
  return text;
}

/** The trimmed text, `null` for an empty or missing one. Throws TOO_LONG, INVALID_INPUT. */
export function optionalText(field: string, value: string | null | undefined, charactersMax: number): string | null {
  const text = value?.trim() ?? "";
  if (text === "") return null;
  checkText(field, text, charactersMax);
  return text;
}

/** The text as it is, blanks and all, for what programs compare. Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function requireExactText(field: string, text: string, charactersMax: number): string {
  requireText(field, text, charactersMax);
  checkText(field, text, charactersMax);
  return text;
}

/** What is typed to find people by handle or name: without the `@`, cut where it is too long. */
export function parsePeopleQuery(text: string): string {
  return text.trim().replace(/^@/, "").slice(0, PEOPLE_QUERY_MAX).toWellFormed().replaceAll("\0", "");
}

function checkText(field: string, text: string, charactersMax: number): void {
  if (!isStorable(text)) {
    throw new AppError("INVALID_INPUT", `Cannot use \`${field}\`: it has a NUL or half a surrogate pair`, {
      path: [field],
    });
  }
  const characters = countCharacters(text);
  if (characters > charactersMax) {
    const state = `it has ${characters} characters, the limit is ${charactersMax}`;
    throw new AppError("TOO_LONG", `Cannot use \`${field}\`: ${state}`, { path: [field], limit: charactersMax });
  }
}
