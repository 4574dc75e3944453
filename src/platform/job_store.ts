/** The store of the jobs: pg-boss, on connections of its own or on the one connection of the embedded database. */
import { type ConstructorOptions, getConstructionPlans, getMigrationPlans, PgBoss } from "pg-boss";
import { type DatabaseAddress, isMissing, type Sql } from "./sql.ts";

export type JobStore = PgBoss;

const SCHEMA = "pgboss";
/** Of the tables that this release of pg-boss works with. */
const SCHEMA_VERSION = Number(/version\(version\) VALUES \('(\d+)'\)/.exec(getConstructionPlans(SCHEMA))?.[1]);

const POOL_SIZE = 3;
/** Milliseconds that the server works on a statement, and that one is waited for where the server has frozen. */
const [STATEMENT_MS_MAX, ANSWER_MS_MAX] = [10_000, 12_000];
const CONNECT_MS_MAX = 3_000;
/** Between two checks for what happens to jobs whose worker has died, for whoever asks. */
const MONITOR_SECONDS = 2;
/** Queues are never changed while a server runs. */
const QUEUE_CACHE_SECONDS = 86_400;

/** Opens what a server needs to send and to work. `report` hears of every failure that nobody else would. */
export async function openJobStore(
  { address, sql }: { readonly address: DatabaseAddress; readonly sql: Sql },
  report: (error: unknown) => void,
): Promise<JobStore> {
  const options: ConstructorOptions = {
    schema: SCHEMA,
    migrate: false, // see `installJobs`
    createSchema: false,
    schedule: false,
    supervise: false, // done by those who work, not by those who only send
    monitorIntervalSeconds: MONITOR_SECONDS,
    queueCacheIntervalSeconds: QUEUE_CACHE_SECONDS,
    reindex: false,
    monitorVacuum: false,
    ...("url" in address ? poolOf(address.url) : { backend: "pglite", db: { executeSql: executeOn(sql) } }),
  };
  const store = new PgBoss(options);
  store.on("error", report);
  store.on("warning", report);
  try {
    return await store.start();
  } catch (error) {
    await store.stop({ graceful: false }).catch(report);
    throw error;
  }
}

/** Brings the tables of the jobs up to date, next to the migrations: one statement where there is nothing to do. Safe to run
 * on all nodes at once. */
export async function installJobs(sql: Sql): Promise<void> {
  const version = await installedVersion(sql);
  if (version !== null && version >= SCHEMA_VERSION) return;
  try {
    const script = version === null ? getConstructionPlans(SCHEMA) : getMigrationPlans(SCHEMA, version);
    await runScript(sql, `set local statement_timeout = 0; ${script}`);
  } catch (error) {
    if ((await installedVersion(sql) ?? 0) < SCHEMA_VERSION) throw error; // else another node was faster
  }
}

async function installedVersion(sql: Sql): Promise<number | null> {
  try {
    const [row] = await sql<{ version: number }[]>`select version from pgboss.version`;
    return row?.version ?? null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function poolOf(connectionString: string): ConstructorOptions {
  const limits = { statement_timeout: STATEMENT_MS_MAX, query_timeout: ANSWER_MS_MAX, keepAlive: true };
  return {
    connectionString,
    application_name: "parley_jobs",
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    ...limits, // handed on to `pg`
  };
}

/** Statements of pg-boss on postgres.js, with the habits of `pg`: objects are JSON, and a text is a text, even where it is
 * taken as JSON (postgres.js would make a JSON string of it). */
function executeOn(sql: Sql): (text: string, values?: unknown[]) => Promise<{ rows: unknown[] }> {
  return async (text, values) => {
    if (values === undefined || values.length === 0) return { rows: await runScript(sql, text) };
    const plain = text.replace(/(\$\d+)::(jsonb?)\b/g, "$1::text::$2");
    const parameters = values.map((value) => isObject(value) ? JSON.stringify(value) : value ?? null);
    return { rows: await sql.unsafe(plain, parameters as string[]) };
  };
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** One message of the simple protocol is a transaction by itself. With `begin`, a script that fails would leave the connection
 * that everybody shares within a transaction that nobody ends. */
async function runScript(sql: Sql, script: string): Promise<unknown[]> {
  const statements = script.replace(/^\s*(BEGIN|COMMIT);/gm, "");
  const result: readonly unknown[] = await sql.unsafe(statements).simple();
  return result.some(Array.isArray) ? result.flat() : [...result];
}
