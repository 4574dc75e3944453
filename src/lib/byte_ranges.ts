/** Parts of files as HTTP asks for them (RFC 9110, section 14). */

/** Bytes from `start` to before `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What `Range` asks for of so many bytes; `null`: all of it, which is right for several ranges as well, and for whatever is
 * no range of bytes. UNSATISFIABLE where none of it exists. */
export function parseRange(header: string | null, byteSize: number): ByteRange | "UNSATISFIABLE" | null {
  const [, first = "", last = ""] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? "") ?? [];
  if (first === "" && last === "") return null;
  if (first === "") {
    return last.match(/^0+$/) || byteSize === 0
      ? "UNSATISFIABLE"
      : { start: Math.max(0, byteSize - Number(last)), end: byteSize };
  }
  if (last !== "" && Number(last) < Number(first)) return null;
  if (Number(first) >= byteSize) return "UNSATISFIABLE";
  return { start: Number(first), end: last === "" ? byteSize : Math.min(byteSize, Number(last) + 1) };
}

/** `Content-Range` of an answer. */
export function formatContentRange({ start, end }: ByteRange, byteSize: number): string {
  return `bytes ${start}-${end - 1}/${byteSize}`;
}

/** What `Content-Range` says that is being sent: `range` is `null` where nothing is sent (`*` in place of it). `null` where it is no
 * such header. */
export function parseContentRange(
  header: string,
): { readonly range: ByteRange | null; readonly byteSize: number } | null {
  const [, first, last, size] = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/i.exec(header) ?? [];
  if (size === undefined) return null;
  const byteSize = Number(size);
  if (first === undefined || last === undefined) return { range: null, byteSize };
  const range = { start: Number(first), end: Number(last) + 1 };
  return range.start < range.end && range.end <= byteSize ? { range, byteSize } : null;
}
