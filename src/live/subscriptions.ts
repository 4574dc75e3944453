/** What a live subscription is to the transport that carries it, and how one that belongs to a single viewer is pulled. */
import type { App } from "../app.ts";
import { isAway } from "../platform/sql.ts";

/** Bytes a transport may hold for one subscription before it is left to catch up by itself. */
export const BEHIND_BYTES = 256 * 1024;
/** Bytes it must have shrunk to before the next value. */
export const CAUGHT_UP_BYTES = 64 * 1024;
/** A reader whose buffer has not shrunk for so long is cut off; it resumes with its cursor. */
export const STALLED_MS = 10_000;
/** How often a slow reader is looked after. */
export const TEND_MS = 100;
const RETRY_MS = 50;
const RETRY_MS_MAX = 2_000;

/** Retention has cut the log in front of a reader who was far behind: it comes back and gets a resync. */
export class LogCut extends Error {
  override readonly name = "LogCut";
}

/** Why a stream ended: the reader was removed, reads too slowly, or the server cannot go on. */
export type EndReason = "removed" | "slow" | "unavailable";

/** The transport's side of a subscription. None of the methods may throw. */
export interface Sink {
  send(body: string): void;
  /** Bytes that were sent but not yet taken by the network. */
  pendingBytes(): number;
  /** Called at most once, after which nothing more is sent. */
  end(reason: EndReason): void;
}

/** Executes and encodes one value of the subscription for its viewer. */
export interface ViewerRenderer {
  renderForViewer(value: object): Promise<string>;
}

/** A checked subscription that waits for its transport: it calls `start` once, or `cancel`. GraphQL takes only async
 * iterables for streams; these are pushed instead. */
export abstract class LiveSubscription<Value, Renderer> implements AsyncIterable<Value> {
  /** Delivers to the sink until the stream ends or is cancelled. */
  abstract start(renderer: Renderer, sink: Sink): void;

  /** Stops at once: nothing is sent after it returns. Idempotent. */
  abstract cancel(): void;

  [Symbol.asyncIterator](): never {
    throw new TypeError("A live subscription is started with a sink, not iterated");
  }
}

/** Where a pulled subscription gets its values. What it holds back for a slow reader is a position or a set of ids, never a
 * queue of values. */
export interface Source<Value extends object, Renderer = ViewerRenderer> {
  /** The next value, `null` when there is none for now. Not called again before the last one was sent. */
  next(): Promise<Value | null>;
  /** Executes and encodes a value. (Default: for the viewer alone) */
  render?(renderer: Renderer, value: Value): Promise<string>;
  close(): void;
}

/** A stream of one viewer. Woken by a change, it takes values from its source until there are none, and waits while its
 * reader is behind. */
export class PulledSubscription<Value extends object, Renderer extends ViewerRenderer = ViewerRenderer>
  extends LiveSubscription<Value, Renderer> {
  readonly #source: Source<Value, Renderer>;
  readonly #stopped = Promise.withResolvers<void>();
  #deliver: ((value: Value) => Promise<boolean>) | null = null;
  #end: (reason: EndReason) => void = (reason) => this.#endsWith = reason;
  /** Why it is over before it has begun. */
  #endsWith: EndReason | null = null;
  #isAwake = true;
  #isRunning = false;
  #isDone = false;

  /** `open` is given the functions that wake the stream and that end it. */
  constructor(
    private readonly app: App,
    open: (wake: () => void, end: (reason: EndReason) => void) => Source<Value, Renderer>,
  ) {
    super();
    app.metrics.followers.inc();
    this.#source = open(() => this.#wake(), (reason) => this.#end(reason));
  }

  start(renderer: Renderer, sink: Sink): void {
    if (this.#isDone || this.#deliver !== null) return;
    this.#end = (reason) => {
      if (this.#isDone) return;
      this.cancel();
      sink.end(reason);
    };
    const render = (value: Value) => this.#source.render?.(renderer, value) ?? renderer.renderForViewer(value);
    this.#deliver = async (value) => {
      const body = await render(value);
      if (!await this.#untilTaken(sink) || this.#isDone) return false;
      sink.send(body);
      this.app.metrics.liveDeliveries.inc();
      return true;
    };
    if (this.#endsWith !== null) return this.#end(this.#endsWith);
    this.#wake();
  }

  cancel(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#stopped.resolve();
    this.app.metrics.followers.dec();
    this.#source.close();
  }

  #wake(): void {
    this.#isAwake = true;
    if (this.#deliver === null || this.#isRunning || this.#isDone) return;
    this.#isRunning = true;
    this.app.background(this.#run(this.#deliver));
  }

  async #run(deliver: (value: Value) => Promise<boolean>): Promise<void> {
    try {
      while (this.#isAwake && !this.#isDone) {
        this.#isAwake = false;
        let value: Value | null;
        while (!this.#isDone && (value = await this.#whenThere(() => this.#source.next()))) {
          const found = value;
          if (!await this.#whenThere(() => deliver(found))) return;
        }
      }
    } catch (error) {
      if (!(error instanceof LogCut)) this.app.log.error("Cannot serve a live stream", { error });
      this.#end("unavailable");
    } finally {
      this.#isRunning = false; // not a microtask later: a change that came in between would wake nobody
    }
  }

  /** Tries again while the database is away; `null` once the stream is cancelled. */
  async #whenThere<T>(act: () => Promise<T>): Promise<T | null> {
    for (let waitMs = RETRY_MS; !this.#isDone; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
      try {
        return await act();
      } catch (error) {
        if (!isAway(error)) throw error;
        await this.#pause(waitMs);
      }
    }
    return null;
  }

  /** Waits until the reader has room for more. False when the stream has ended meanwhile. */
  async #untilTaken(sink: Sink): Promise<boolean> {
    let bytes = sink.pendingBytes();
    let sinceMs = Date.now();
    if (bytes <= BEHIND_BYTES) return !this.#isDone;
    while (!this.#isDone && sink.pendingBytes() > CAUGHT_UP_BYTES) {
      const now = sink.pendingBytes();
      if (now < bytes) [bytes, sinceMs] = [now, Date.now()];
      else if (Date.now() - sinceMs >= STALLED_MS) this.#end("slow");
      await this.#pause(TEND_MS);
    }
    return !this.#isDone;
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, this.#stopped.promise]);
    clearTimeout(timer);
  }
}
