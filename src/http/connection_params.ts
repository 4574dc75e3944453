/** What a client says of itself in `connection_init`. */

/** The access token, wherever urql, Apollo, Relay and GraphiQL put it by habit; `null` for nobody. */
export function findToken(params: Record<string, unknown> = {}): string | null {
  const headers = typeof params.headers === "object" && params.headers !== null
    ? params.headers as Record<string, unknown>
    : {};
  const { Authorization, authorization, authToken, token, accessToken } = params;
  const candidates = [
    Authorization,
    authorization,
    headers.Authorization,
    headers.authorization,
    authToken,
    token,
    accessToken,
  ];
  const found = candidates.find((candidate) => typeof candidate === "string" && candidate !== "");
  return found === undefined ? null : String(found);
}
