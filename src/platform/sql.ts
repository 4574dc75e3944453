/** The connection to Postgres (postgres.js). One statement per write: never `begin` or `reserve`, which in 3.4.9 can
 * commit rows of a transaction that was rolled back when its backend dies. */
import postgres from "postgres";
import { DatabaseSockets } from "./database_sockets.ts";
import { renewed } from "./renewed_sql.ts";

export type Sql = postgres.Sql<{ bigint: number }>;
export type Fragment = postgres.PendingQuery<postgres.Row[]>;

/** Connections of one node to Postgres. More only queue in the server: writes of a room take turns anyway. */
const POOL_SIZE = 10;
/** Milliseconds that the server works on a statement, and that one waits for a lock: the slowest takes a fraction of it, so
 * whatever takes longer waits for something that has gone wrong, and must not hold a connection and its client. */
const STATEMENT_MS_MAX = 10_000;
const LOCK_MS_MAX = 5_000;
/** Seconds until a connection is ready. */
const CONNECT_SECONDS = 3;
/** Seconds between two tries to connect, at most. The default grows to 20, in which statements only wait. */
const RECONNECT_SECONDS_MAX = 0.5;

export type DatabaseAddress = { readonly url: string } | { readonly socketPath: string };

export interface SqlOptions {
  /** Called for every statement that is sent. */
  readonly onStatement: (statement: string) => void;
  /** Connections to a server. (Default: 10) */
  readonly poolSize?: number;
  /** Milliseconds for a statement on a server; 0: as the server has it. (Default: 10_000, and 5_000 for a lock) */
  readonly statementMs?: number;
  /** Whether statements take or return arrays. (Default: true) */
  readonly hasArrays?: boolean;
  /** Where the sockets to a server come from. (Default: its own) */
  readonly sockets?: DatabaseSockets;
}

/** Rows come camel-cased, `bigint` as a number: sequences stay below 2^53. */
export function openSql(address: DatabaseAddress, options: SqlOptions): Sql {
  if ("url" in address) return openPool(address.url, options);
  const { socketPath: path } = address;
  return counted(postgres({ ...SHARED, path, username: "postgres", database: "postgres", max: 1 }), options);
}

/** Asks for the types of arrays once and for all. By itself postgres.js 3.4.9 asks on every new connection, and when that is
 * lost before the answer, a rejection that nobody can catch ends the process. */
export async function learnTypes(sql: Sql): Promise<void> {
  await sql`select 1`;
  Object.assign(sql.options, { fetch_types: false });
}

const SHARED = {
  transform: postgres.camel,
  types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  onnotice: () => {},
};

function openPool(url: string, options: SqlOptions): Sql {
  const { poolSize = POOL_SIZE, statementMs = STATEMENT_MS_MAX, hasArrays = true } = options;
  return renewed<Sql>((socket, before) => {
    const settings = {
      ...SHARED,
      max: poolSize,
      connect_timeout: CONNECT_SECONDS,
      max_lifetime: null, // below TLS, closing one that is old would look like a break, and renew the whole pool
      backoff: (tries: number) => (0.5 + Math.random() / 2) * Math.min(0.05 * 2 ** tries, RECONNECT_SECONDS_MAX),
      fetch_types: hasArrays,
      connection: {
        application_name: "parley",
        statement_timeout: statementMs,
        lock_timeout: Math.min(LOCK_MS_MAX, statementMs),
      },
      socket,
    };
    const pool = counted(postgres(url, settings), options);
    if (before) inheritTypes(pool, before);
    return pool;
  }, options.sockets ?? new DatabaseSockets());
}

function counted(sql: Sql, { onStatement }: SqlOptions): Sql {
  const debug = (_connection: number, statement: string) => onStatement(statement);
  // Set afterwards: given as an option, it makes postgres.js take a stack trace for every fragment, a third of the CPU of a send.
  Object.assign(sql.options, { debug });
  return sql;
}

// Into the objects that the connections have in hand already.
function inheritTypes({ options }: Sql, { options: known }: Sql): void {
  const { fetch_types, parsers, serializers, shared } = known as typeof known & { readonly shared: object };
  Object.assign(options, { fetch_types, shared });
  Object.assign(options.parsers, parsers);
  Object.assign(options.serializers, serializers);
}

/** SQLSTATE of a failed statement, and the constraint that it broke. */
interface DatabaseError extends Error {
  readonly code: string;
  readonly constraint_name?: string;
}

function isDatabaseError(error: unknown): error is DatabaseError {
  return error instanceof postgres.PostgresError;
}

/** Whether the error says that this unique or check constraint was broken. */
export function isViolationOf(error: unknown, constraint: string): boolean {
  return isDatabaseError(error) && error.code.startsWith("23") && error.constraint_name === constraint;
}

/** Whether the error says that there is no such table or schema. */
export function isMissing(error: unknown): boolean {
  return isDatabaseError(error) && (error.code === "42P01" || error.code === "3F000");
}

/** Parts of a list of columns or of a `with`, as many as there are; at least one. */
export function commaSeparated(sql: Sql, parts: readonly Fragment[]): Fragment {
  return parts.reduce((all, part) => sql`${all}, ${part}`);
}

/** The text as a part of a pattern of `like` that means nothing but itself. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

// Class 08: connection, 53: resources, 57P0x: shutting down, 57014 and 55P03: took too long, 25006: a standby
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const AWAY =
  /^(08|53|57P0|57014|55P03|25006|CONNECTION_|CONNECT_|ECONN|ENOENT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPIPE|ETIMEDOUT)/;
/** Failures on the way to a connection. */
const NEVER_SENT = /^(CONNECT_TIMEOUT|CONNECTION_ENDED|ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN)$/;

/** Whether the database is away, so that the same statement may succeed later. */
export function isAway(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && AWAY.test(error.code);
}

/** Whether the statement has certainly done nothing. What the server says of a statement undoes it; without its word
 * (a connection that was lost meanwhile), it may have been committed. */
export function isUndone(error: unknown): boolean {
  return isDatabaseError(error) ||
    (error instanceof Error && "code" in error && typeof error.code === "string" && NEVER_SENT.test(error.code));
}

/** Runs in a row, the first among them. */
const TRIES_MAX = 3;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 500;
/** Milliseconds from the first run after which none is begun: the client has waited long enough for an answer. */
const RETRY_WITHIN_MS = 5_000;

/** Runs one statement again when it was the victim of a deadlock: it was undone as a whole. */
export function retryDeadlock<T>(run: () => Promise<T>): Promise<T> {
  return retry(run, (error) => isDatabaseError(error) && error.code === "40P01" ? 0 : null);
}

/** Runs again what may be done twice, when it failed because the database was away for a moment: a backend was killed, a
 * connection was lost. */
export function retryAway<T>(run: () => Promise<T>): Promise<T> {
  const giveUpAtMs = performance.now() + RETRY_WITHIN_MS;
  // At random, so that all who were interrupted together don't come back together.
  const pauseMs = () => PAUSE_MS_MIN + Math.random() * (PAUSE_MS_MAX - PAUSE_MS_MIN);
  return retry(run, (error) => isAway(error) && performance.now() < giveUpAtMs ? pauseMs() : null);
}

/** `pauseAfter` says how many milliseconds after the failure to try again; `null`: not at all. */
async function retry<T>(run: () => Promise<T>, pauseAfter: (error: unknown) => number | null): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await run();
    } catch (error) {
      const pauseMs = tries < TRIES_MAX ? pauseAfter(error) : null;
      if (pauseMs === null) throw error;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
