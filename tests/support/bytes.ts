/** Bytes that are put together by hand. */
import { Buffer } from "node:buffer";

export type Bytes = Uint8Array<ArrayBuffer>;

export function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}

/** Texts in UTF-8. */
export function joinBytes(...parts: readonly (Uint8Array | string)[]): Bytes {
  return new Uint8Array(Buffer.concat(parts.map((part) => typeof part === "string" ? encode(part) : part)));
}
