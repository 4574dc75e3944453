/** The connection to Postgres (postgres.js). One statement per write: never `begin` or `reserve`, which in 3.4.9 can
 * commit rows of a transaction that was rolled back when its backend dies. */
import postgres from "postgres";

export type Sql = postgres.Sql<{ bigint: number }>;
export type Fragment = postgres.PendingQuery<postgres.Row[]>;

/** Connections of one node to Postgres. More only queue in the server: writes of a room take turns anyway. */
const POOL_SIZE = 10;
/** Seconds between tries to connect. The default of postgres.js grows with the failures of all connections together, so that
 * a crash of Postgres was followed by up to 20 s in which nobody tried. */
const RECONNECT_SECONDS = 0.25;

export type DatabaseAddress = { readonly url: string } | { readonly socketPath: string };

export interface SqlOptions {
  /** Called for every statement that is sent. */
  readonly onStatement: (statement: string) => void;
  /** Connections to a server. (Default: 10) */
  readonly poolSize?: number;
}

/** Rows come camel-cased, `bigint` as a number: sequences stay below 2^53. */
export function openSql(address: DatabaseAddress, options: SqlOptions): Sql {
  const sql = connect(address, options);
  const debug = (_connection: number, statement: string) => options.onStatement(statement);
  // Set afterwards: given as an option, it makes postgres.js take a stack trace for every fragment, a third of the CPU of a send.
  Object.assign(sql.options, { debug });
  return sql;
}

function connect(address: DatabaseAddress, options: SqlOptions): Sql {
  const shared = {
    transform: postgres.camel,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    onnotice: () => {},
  };
  if ("url" in address) {
    return postgres(address.url, {
      ...shared,
      max: options.poolSize ?? POOL_SIZE,
      backoff: () => RECONNECT_SECONDS * (0.5 + Math.random()),
      connection: { application_name: "parley" },
    });
  }
  return postgres({ ...shared, path: address.socketPath, username: "postgres", database: "postgres", max: 1 });
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

/** Parts of a list of columns or of a `with`, as many as there are; at least one. */
export function commaSeparated(sql: Sql, parts: readonly Fragment[]): Fragment {
  return parts.reduce((all, part) => sql`${all}, ${part}`);
}

/** The text as a part of a pattern of `like` that means nothing but itself. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

const DEADLOCK_TRIES = 3;

/** Runs one statement again when it was the victim of a deadlock: it was undone as a whole. */
export async function retryDeadlock<T>(run: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await run();
    } catch (error) {
      if (!isDatabaseError(error) || error.code !== "40P01" || tries === DEADLOCK_TRIES) throw error;
    }
  }
}

// Class 08: connection, 53: resources, 57P0x: shutting down, 25006: a standby (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const AWAY =
  /^(08|53|57P0|25006|CONNECTION_|CONNECT_|ECONN|ENOENT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPIPE|ETIMEDOUT)/;

/** Whether the database is away, so that the same statement may succeed later. */
export function isAway(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && AWAY.test(error.code);
}
