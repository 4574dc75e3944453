/** Whether the database answers at all. A frozen server, or a network that swallows packets, refuses nothing and answers
 * nothing, and no timeout of the server helps: so one question is asked every second, on a connection of its own. */
import { DatabaseSockets } from "./database_sockets.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { type DatabaseAddress, openSql, type Sql } from "./sql.ts";
import { repeat, within } from "./timers.ts";

/** The clock of the watch. Counted in ticks, a pause of our own (a long computation, a stopped process) is one tick. */
const TICK_MS = 100;
const PROBE_TICKS = 10;
/** Ticks without an answer after which the database counts as stalled. */
const STALL_TICKS = 20;
/** How often connections are looked after. */
const TEND_TICKS = 10;
/** Milliseconds for a check where nothing is watched. */
const CHECK_MS = 2_000;

export class DatabaseStalled extends Error {
  override readonly name = "DatabaseStalled";
  /** So that whatever waits for a database that is away waits for this one too. */
  readonly code = "ETIMEDOUT";

  constructor() {
    super("The database does not answer");
  }
}

export interface WatchedDatabase {
  readonly address: DatabaseAddress;
  /** The connections of the app, and their sockets. */
  readonly sql: Sql;
  readonly sockets: DatabaseSockets;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Watches a server; the embedded database, which is in this process and has one connection, is only asked by `check`. */
export class DatabaseWatch implements AsyncDisposable {
  readonly #probeSockets = new DatabaseSockets();
  readonly #probe: Sql | null;
  readonly #timer: AsyncDisposable | null;
  #ticks = 0;
  #unansweredTicks = 0;
  #isAsking = false;
  /** Aborted at the next stall. */
  #stall = new AbortController();

  constructor(private readonly database: WatchedDatabase) {
    const { address } = database;
    const isServer = "url" in address;
    this.#probe = isServer
      ? openSql(address, { onStatement: () => {}, poolSize: 1, hasArrays: false, sockets: this.#probeSockets })
      : null;
    this.#timer = isServer ? repeat(TICK_MS, () => this.#tick()) : null;
  }

  get isStalled(): boolean {
    return this.#stall.signal.aborted;
  }

  /** The result of `act`, which is not even begun while the database is stalled. Throws `DatabaseStalled`, also when it stalls
   * in between; `act` is then left to itself. */
  async unlessStalled<T>(act: () => Promise<T>): Promise<T> {
    const { signal } = this.#stall;
    signal.throwIfAborted();
    const { promise: stalled, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    try {
      return await Promise.race([act(), stalled]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Milliseconds that the database takes to answer now; `null` when it does not. */
  async check(): Promise<number | null> {
    const startMs = performance.now();
    const ask = this.#probe ?? this.database.sql;
    const answer = this.unlessStalled(async () => void await ask`select 1`).then(() => true, () => false);
    const isUp = await within(CHECK_MS, answer);
    return isUp ? performance.now() - startMs : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#timer?.[Symbol.asyncDispose]();
    this.#probeSockets.hangUp(); // what it was asked last may never be answered
    await this.#probe?.end({ timeout: 0 });
  }

  #tick(): void {
    this.#ticks++;
    if (this.#ticks % TEND_TICKS === 0) this.database.sockets.tend();
    const isDue = this.#unansweredTicks > 0 || this.#ticks % PROBE_TICKS === 0;
    if (!isDue) return;
    if (!this.#isAsking) this.#ask();
    this.#unansweredTicks++;
    if (this.#unansweredTicks % STALL_TICKS !== 0) return;
    this.#noteStall();
    this.#probeSockets.hangUp(); // an answer may come to a new connection
  }

  #ask(): void {
    if (this.#probe === null) return;
    this.#isAsking = true;
    this.#probe`select 1`.then(() => {
      this.#unansweredTicks = 0;
      if (!this.isStalled) return;
      this.#stall = new AbortController();
      this.database.log.info("The database answers again");
    }, () => {/* asked again with the next tick */}).finally(() => this.#isAsking = false);
  }

  #noteStall(): void {
    if (this.isStalled) return;
    const { log, metrics, sockets } = this.database;
    log.warn("The database does not answer");
    metrics.databaseStalls.inc();
    this.#stall.abort(new DatabaseStalled());
    // Streams and other work of our own must not wait for answers on connections that are dead: they ask again.
    sockets.hangUp();
  }
}
