/** Which web pages may talk to the API: the one rule for CORS and WebSocket. */
import type { App } from "../app.ts";

/** Requests without an `Origin` come from no page and are always allowed. */
export function isAllowedOrigin({ config }: App, origin: string | null): boolean {
  return origin === null || config.allowedOrigins.includes("*") || config.allowedOrigins.includes(origin);
}

/** What lets a page of an allowed origin read the answer. Never with cookies: tokens travel in headers, links are signed. */
export function corsHeaders(app: App, { headers }: Request): Readonly<Record<string, string>> {
  if (app.config.allowedOrigins.includes("*")) return { "access-control-allow-origin": "*" };
  const origin = headers.get("origin");
  const isAllowed = origin !== null && isAllowedOrigin(app, origin);
  return { vary: "Origin", ...isAllowed ? { "access-control-allow-origin": origin } : {} };
}
