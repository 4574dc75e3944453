/** Who is asking. */
import type { AccountRole } from "../users/users.ts";

/** What an access token says of the one who sent it. */
export interface Viewer {
  readonly userId: string;
  readonly sessionId: string;
  readonly role: AccountRole;
  /** When the access token expires, in milliseconds since 1970. */
  readonly expiresAtMs: number;
}
