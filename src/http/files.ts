/** `GET /files/…` and `/pictures/…`: stored files, whole or in part, straight from the storage (RFC 9110, sections 13 and 14). */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { formatContentRange, parseRange } from "../lib/byte_ranges.ts";
import { contentDisposition } from "../lib/filenames.ts";
import { readFileLink, readPictureLink } from "../uploads/links.ts";
import { findPicture, findServed, type Served } from "../uploads/serving.ts";
import { answer, type Resource } from "./answers.ts";
import { endUnread } from "./unread_bodies.ts";

/** Whatever a browser takes the file for, it runs nothing of it, and nobody frames it. */
const CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox";
const PICTURE_SECONDS = 31_536_000;
/** Milliseconds, as nginx has it (`send_timeout`). A player that pauses for longer asks for the rest by a range. */
const UNREAD_MS_MAX = 60_000;

export interface ServingOptions {
  /** Milliseconds after which the answer ends of which its client reads nothing. (Default: 60_000) */
  readonly unreadMsMax?: number;
}

/** A file of a message, for the one whom the link was made for. */
export function answerFile(app: App, request: Request, options: ServingOptions = {}): Promise<Response> {
  return answer(
    app,
    request,
    reading(app, options, async (url) => {
      const link = readFileLink(app, url);
      if (link === null) {
        throw new AppError("FORBIDDEN", "Cannot show the file: the link has expired or was changed; ask for a new one");
      }
      const served = await findServed(app, link);
      const secondsLeft = Math.max(0, Math.floor(link.expires - Date.now() / 1000));
      return { served, cacheControl: `private, max-age=${secondsLeft}, immutable` };
    }),
  );
}

/** An avatar or an icon, for everybody. */
export function answerPicture(app: App, request: Request): Promise<Response> {
  return answer(
    app,
    request,
    reading(app, {}, async (url) => {
      const link = readPictureLink(url);
      if (link === null) throw new AppError("NOT_FOUND", "Cannot find the picture: there is none at this URL");
      return { served: await findPicture(app, link), cacheControl: `public, max-age=${PICTURE_SECONDS}, immutable` };
    }),
  );
}

interface Found {
  readonly served: Served;
  readonly cacheControl: string;
}

function reading(
  app: App,
  { unreadMsMax = UNREAD_MS_MAX }: ServingOptions,
  find: (url: URL) => Promise<Found>,
): Resource {
  return {
    GET: async (request, url) => await send(app, request, { ...await find(url), unreadMsMax }),
    HEAD: async (request, url) => describe(request, await find(url)),
  };
}

function describe({ headers }: Request, { served, cacheControl }: Found): Response {
  const about = aboutFile(served, cacheControl);
  return isKnown(headers, about.etag)
    ? new Response(null, { status: 304, headers: about })
    : new Response(null, { headers: { ...about, "content-length": String(served.byteSize) } });
}

async function send(app: App, request: Request, found: Found & Required<ServingOptions>): Promise<Response> {
  const { served: { key, byteSize }, served, cacheControl, unreadMsMax } = found;
  const about = aboutFile(served, cacheControl);
  if (isKnown(request.headers, about.etag)) return describe(request, found);
  const range = isSame(request.headers, about.etag) ? parseRange(request.headers.get("range"), byteSize) : null;
  if (range === "UNSATISFIABLE") {
    const error = { code: "BAD_USER_INPUT", message: `Cannot send this range: the file has ${byteSize} bytes` };
    return Response.json({ error }, { status: 416, headers: { "content-range": `bytes */${byteSize}` } });
  }
  const body = await app.files.read(key, ...range === null ? [] : [range]);
  if (body === null) {
    // One that has just been deleted, or all of them, where the storage is another one than before.
    app.log.warn("The storage does not have the bytes of a file", { key });
    throw new AppError("NOT_FOUND", "Cannot find the file: its bytes are not in the storage");
  }
  const { start, end } = range ?? { start: 0, end: byteSize };
  return new Response(endUnread(body, unreadMsMax), {
    status: range === null ? 200 : 206,
    headers: {
      ...about,
      "content-length": String(end - start),
      ...range === null ? {} : { "content-range": formatContentRange(range, byteSize) },
    },
  });
}

function aboutFile({ mediaType, sha256, disposition, filename }: Served, cacheControl: string) {
  return {
    "content-type": mediaType,
    "content-disposition": contentDisposition(disposition, filename),
    "accept-ranges": "bytes",
    etag: `"${sha256}"`,
    "cache-control": cacheControl,
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-resource-policy": "cross-origin",
    "referrer-policy": "no-referrer",
  };
}

/** Whether the client has it already. */
function isKnown(headers: Headers, etag: string): boolean {
  const known = headers.get("if-none-match");
  return known !== null &&
    known.split(",").map((each) => each.trim().replace(/^W\//, "")).some((each) => each === etag || each === "*");
}

/** Whether the client means this file with its range; with a date it can't, for we tell none. */
function isSame(headers: Headers, etag: string): boolean {
  const meant = headers.get("if-range");
  return meant === null || meant === etag;
}
