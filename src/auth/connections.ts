/** What is signed in with one access token and may outlive it with the next: the socket that an operation came on. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { verifyAccessToken } from "./tokens.ts";
import type { Viewer } from "./viewer.ts";

export interface Connection {
  /** Whose it is now; `null`: nobody's. */
  readonly viewer: Viewer | null;
  /** Makes it the viewer's until that token expires, without a gap in what runs on it. Who comes with a token that expires
   * before the present one changes nothing. Returns the viewer that it has then. */
  extend(viewer: Viewer): Viewer;
}

/** Extends the connection to the expiry of the token, and returns when it expires now. Throws UNAUTHENTICATED for a bad
 * token and on a connection that is nobody's, INVALID_INPUT for a token of another session, and BAD_USER_INPUT where
 * there is no connection. */
export async function refreshConnection(
  app: App,
  connection: Connection | null,
  accessToken: string,
): Promise<Date> {
  if (connection === null) {
    throw new AppError("BAD_USER_INPUT", "Cannot refresh the connection: this is done on the WebSocket itself only");
  }
  if (connection.viewer === null) {
    throw new AppError("UNAUTHENTICATED", "Cannot refresh the connection: it is nobody's, reconnect with the token");
  }
  const viewer = await verifyAccessToken(app, accessToken);
  const { userId, sessionId } = connection.viewer;
  if (viewer.userId !== userId || viewer.sessionId !== sessionId) {
    const state = "the token is of another session, reconnect with it";
    throw new AppError("INVALID_INPUT", `Cannot refresh the connection: ${state}`, { path: ["accessToken"] });
  }
  return new Date(connection.extend(viewer).expiresAtMs);
}
