/** Parts of files as HTTP asks for them (RFC 9110, section 14). */

/** Bytes from `start` to before `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What `Range` asks for of so many bytes; `null`: all of it, which is right for several ranges as well, and for whatever is
 * no range of bytes. UNSATISFIABLE where none of it exists. */
export function parseRange(header: string | null, byteSize: number): Span | "UNSATISFIABLE" | null {
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
export function formatContentRange({ start, end }: Span, byteSize: number): string {
  return `bytes ${start}-${end - 1}/${byteSize}`;
}

/** What `Content-Range` says that is being sent: `span` is `null` where nothing is sent (`*` in place of it). `null` where it is no
 * such header. */
export function parseContentRange(header: string): { readonly span: Span | null; readonly byteSize: number } | null {
  const [, first, last, size] = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15})$/i.exec(header) ?? [];
  if (size === undefined) return null;
  const byteSize = Number(size);
  if (first === undefined || last === undefined) return { span: null, byteSize };
  const span = { start: Number(first), end: Number(last) + 1 };
  return span.start < span.end && span.end <= byteSize ? { span, byteSize } : null;
}
