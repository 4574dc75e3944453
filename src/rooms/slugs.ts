/** What rooms are called: their names, and the slugs that stand for them in URLs. */
import { AppError } from "../errors.ts";
import { optionalText, requireText } from "../lib/texts.ts";

const NAME_MAX = 80;
const TOPIC_MAX = 500;
const SLUG_MAX = 60;

/** Throws EMPTY, TOO_LONG, INVALID_INPUT. */
export function parseName(text: string): string {
  return requireText("name", text, NAME_MAX);
}

/** `null` for an empty one. Throws TOO_LONG, INVALID_INPUT. */
export function parseTopic(text: string | null | undefined): string | null {
  return optionalText("topic", text, TOPIC_MAX);
}

/** `null` for an empty one. Throws TOO_LONG, INVALID_INPUT. */
export function parseSlug(text: string | null | undefined): string | null {
  const slug = optionalText("slug", text, SLUG_MAX)?.toLowerCase() ?? null;
  if (slug !== null && !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(slug)) {
    throw new AppError("INVALID_INPUT", "Cannot use the slug: it takes a-z and 0-9, with single `-` in between", {
      path: ["slug"],
    });
  }
  return slug;
}

export function slugTaken(cause: unknown): AppError {
  return new AppError("SLUG_TAKEN", "Cannot use the slug: it is taken", { path: ["slug"], cause });
}

/** `Café Olé!` → `cafe-ole`; a name without Latin letters or digits gives `room`. */
export function makeSlug(name: string): string {
  const plain = name.normalize("NFKD").replace(/\p{Mark}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").slice(0, SLUG_MAX).replace(/^-+|-+$/g, "") || "room";
}

/** Another slug for a room whose own was taken. */
export function varySlug(slug: string): string {
  const suffix = crypto.getRandomValues(new Uint8Array(4)).toHex();
  return `${slug.slice(0, SLUG_MAX - 9).replace(/-$/, "")}-${suffix}`;
}
