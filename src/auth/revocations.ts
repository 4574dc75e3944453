/** Sessions that ended while their access tokens could still be valid, and who must be told. */
import type { App } from "../app.ts";
import { ACCESS_TOKEN_TTL_SECONDS_MAX } from "../config.ts";
import { keepSweeping } from "../platform/sweeps.ts";
import type { Viewer } from "./viewer.ts";

const TOPIC = "sessions:ended";
/** How far a sweep looks back before the last one. Longer than any statement runs: one that was under way then has a time
 * from before. */
const SWEEP_SECONDS = 60;

/** Tells every node that these sessions have ended. Their requests, sockets and streams end at once. */
export function announceEndedSessions(app: App, sessionIds: readonly string[]): void {
  if (sessionIds.length > 0) app.bus.publish(TOPIC, sessionIds);
}

/** Calls `onEnd` once, when the viewer's session has ended or the access token has expired, unless the returned function
 * is called before: what every socket and stream is bound to. */
export function watchSession(
  app: App,
  viewer: Pick<Viewer, "sessionId" | "expiresAtMs">,
  onEnd: (reason: string) => void,
): () => void {
  const unwatch = app.once(revocations).watch(viewer.sessionId, () => end("the session has ended"));
  const timer = setTimeout(() => end("the access token has expired"), viewer.expiresAtMs - Date.now());
  const stop = () => {
    unwatch();
    clearTimeout(timer);
  };
  function end(reason: string) {
    stop();
    onEnd(reason);
  }
  return stop;
}

/** The live list of one node, loaded before the first token is believed. */
export function revocations(app: App): Revocations {
  return new Revocations(app);
}

export class Revocations implements AsyncDisposable {
  /** Session id → when its last access token has expired, in milliseconds since 1970. Reckoned with the longest setting
   * that there may be: a token can be older than the setting of now. */
  readonly #endedUntil = new Map<string, number>();
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #unsubscribe: Promise<() => void>;
  readonly #sweeps: AsyncDisposable;
  #readMs = performance.now();

  constructor(private readonly app: App) {
    this.#sweeps = keepSweeping(app, () => this.#read(SWEEP_SECONDS + (performance.now() - this.#readMs) / 1000));
    this.#unsubscribe = app.bus.subscribe(TOPIC, (message) => {
      if (Array.isArray(message)) { for (const id of message) this.#end(String(id)); }
    });
  }

  /** Reads the sessions that ended before this node started. */
  async load(): Promise<void> {
    await this.#unsubscribe;
    await this.#read(ACCESS_TOKEN_TTL_SECONDS_MAX);
  }

  isRevoked(sessionId: string): boolean {
    return this.#endedUntil.has(sessionId);
  }

  /** Calls `onEnd` once when the session ends (or has ended), unless the returned function is called before. */
  watch(sessionId: string, onEnd: () => void): () => void {
    if (this.isRevoked(sessionId)) {
      let isWatched = true;
      queueMicrotask(() => isWatched && onEnd());
      return () => isWatched = false;
    }
    const watchers = this.#watchers.get(sessionId) ?? new Set();
    this.#watchers.set(sessionId, watchers);
    watchers.add(onEnd);
    return () => {
      watchers.delete(onEnd);
      if (watchers.size === 0 && this.#watchers.get(sessionId) === watchers) this.#watchers.delete(sessionId);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeps[Symbol.asyncDispose]();
    (await this.#unsubscribe)();
  }

  /** Those that ended in the last seconds, whether or not a hint has told of them. */
  async #read(seconds: number): Promise<void> {
    const startMs = performance.now();
    const ended = await this.app.sql<{ id: string }[]>`
      select id
      from sessions
      where ended_at > now() - make_interval(secs => ${seconds})`;
    for (const { id } of ended) if (!this.isRevoked(id)) this.#end(id);
    this.#readMs = startMs;
  }

  #end(sessionId: string): void {
    const now = Date.now();
    for (const [id, until] of this.#endedUntil) {
      if (until > now) break; // in order of insertion, so the rest is younger
      this.#endedUntil.delete(id);
    }
    this.#endedUntil.delete(sessionId);
    this.#endedUntil.set(sessionId, now + ACCESS_TOKEN_TTL_SECONDS_MAX * 1000);
    const watchers = this.#watchers.get(sessionId);
    this.#watchers.delete(sessionId);
    for (const onEnd of watchers ?? []) {
      try {
        onEnd();
      } catch (error) {
        this.app.log.error("Cannot end what a session had open", { error }); // the others must end all the same
      }
    }
  }
}
