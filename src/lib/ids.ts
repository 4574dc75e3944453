/** Global ids: `room_01jd…` outside (TypeID, https://github.com/jetify-com/typeid), UUIDv7 in the database. */
import { fromString, fromUUID, toUUID, typeid } from "typeid-js";

// deno-fmt-ignore
const ID_PREFIXES = [
  "viewer", "user", "session", "room", "member", "invite", "ban",
  "message", "attachment", "scheduled", "announcement", "notification",
] as const;
export type IdPrefix = typeof ID_PREFIXES[number];

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

/** A new UUIDv7: later ids sort after earlier ones. */
export function newId(): string {
  return typeid().toUUID();
}

export function encodeId(prefix: IdPrefix, uuid: string): string {
  return fromUUID(uuid, prefix);
}

/** The kind and UUID of a global id; `null` when the text is not one. */
export function parseId(text: string): { readonly prefix: IdPrefix; readonly uuid: string } | null {
  const prefix = ID_PREFIXES.find((known) => text.startsWith(`${known}_`));
  const uuid = prefix && findId(prefix, text);
  return prefix && uuid ? { prefix, uuid } : null;
}

/** `findId` of an id that may be left out: `undefined` where it is. */
export function findOptionalId(prefix: IdPrefix, text: string | null | undefined): string | null | undefined {
  return text === null || text === undefined ? undefined : findId(prefix, text);
}

/** The UUID of a global id of this kind; `null` when the text is not one. */
export function findId(prefix: IdPrefix, text: string): string | null {
  try {
    return toUUID(fromString(text, prefix));
  } catch {
    return null; // typeid-js throws plain errors for every kind of malformed text
  }
}

/** Whether the value is a UUID as the database writes it. */
export function isUuid(value: unknown): value is string {
  return typeof value === "string" && UUID.test(value);
}
