/** Which web pages may talk to the API: the one rule for CORS and WebSocket. */
import type { App } from "../app.ts";

/** Requests without an `Origin` come from no page and are always allowed. */
export function isAllowedOrigin({ config }: App, origin: string | null): boolean {
  return origin === null || config.allowedOrigins.includes("*") || config.allowedOrigins.includes(origin);
}
