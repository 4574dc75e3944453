/** When sessions were last used, and from where: noted to the minute, aside from the requests that use them. */
import type { App } from "../app.ts";
import type { Viewer } from "./viewer.ts";

const MINUTE_MS = 60_000;

/** Notes that the session is used now. At most one statement for a session and minute, which no request waits for. */
export function noteSessionUse(app: App, viewer: Viewer, ipAddress: string | null): void {
  app.once(sessionUses).note(viewer.sessionId, ipAddress);
}

function sessionUses(app: App): SessionUses {
  return new SessionUses(app);
}

class SessionUses implements AsyncDisposable {
  #minute = 0;
  /** Sessions that were noted in this minute. */
  readonly #noted = new Set<string>();

  constructor(private readonly app: App) {}

  note(sessionId: string, ipAddress: string | null): void {
    const minute = Math.floor(Date.now() / MINUTE_MS);
    if (minute !== this.#minute) this.#noted.clear();
    this.#minute = minute;
    if (this.#noted.has(sessionId)) return;
    this.#noted.add(sessionId);
    this.app.background(this.#store(sessionId, ipAddress));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async #store(sessionId: string, ipAddress: string | null): Promise<void> {
    await this.app.sql`
      update sessions
      set last_used_at = now(),
        ip_address = ${ipAddress}
      where id = ${sessionId}
        and ended_at is null
        and last_used_at < date_trunc('minute', now()) -- another node may have noted it`;
  }
}
