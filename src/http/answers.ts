/** What the paths beside GraphQL have in common: methods, CORS, and errors as JSON. */
import type { App } from "../app.ts";
import { corsHeaders } from "./origins.ts";
import { reportError } from "./reports.ts";

export type Answer = (request: Request, url: URL) => Promise<Response>;

/** What there is at a path, by method. */
export type Resource = Readonly<Record<string, Answer>>;

/** Headers by which a client says what it wants, and those of an answer that a page may read. */
const ASKED = "Content-Type, Content-Range, Range, If-Range, If-None-Match";
const TOLD = "Upload-Offset, Upload-Length, ETag, Content-Range, Content-Disposition, Location, Retry-After";
/** Seconds for which a browser asks no second time. */
const PREFLIGHT_SECONDS = 7200;

/** Answers a request, also where it fails: `{ "error": { code, message, limit?, retryAfterMs? } }`. */
export async function answer(app: App, request: Request, resource: Resource): Promise<Response> {
  const cors = corsHeaders(app, request);
  const response = await answerPlainly(app, request, resource);
  for (const [name, value] of Object.entries(cors)) response.headers.set(name, value);
  response.headers.set("access-control-expose-headers", TOLD);
  response.headers.set("x-content-type-options", "nosniff");
  return response;
}

async function answerPlainly(app: App, request: Request, resource: Resource): Promise<Response> {
  const allow = [...Object.keys(resource), "OPTIONS"].join(", ");
  if (request.method === "OPTIONS") {
    const headers = {
      allow,
      "access-control-allow-methods": allow,
      "access-control-allow-headers": ASKED,
      "access-control-max-age": String(PREFLIGHT_SECONDS),
    };
    return new Response(null, { status: 204, headers });
  }
  const act = Object.hasOwn(resource, request.method) ? resource[request.method] : undefined;
  if (act === undefined) {
    const error = { code: "BAD_USER_INPUT", message: `Cannot ${request.method} this: it takes ${allow}` };
    return Response.json({ error }, { status: 405, headers: { allow } });
  }
  try {
    return await act(request, new URL(request.url));
  } catch (error) {
    return answerError(app, error);
  }
}

/** What went wrong, as JSON; bugs are masked and logged. */
function answerError(app: App, error: unknown): Response {
  const { message, extensions } = reportError(app, error);
  const { code, limit, retryAfterMs, requestId, http } = extensions as {
    readonly code: string;
    readonly limit?: number;
    readonly retryAfterMs?: number;
    readonly requestId?: string;
    readonly http: { readonly status: number };
  };
  const headers = {
    "cache-control": "no-store",
    ...retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) },
  };
  return Response.json({ error: { code, message, limit, retryAfterMs, requestId } }, { status: http.status, headers });
}
