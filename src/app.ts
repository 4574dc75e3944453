/** The one explicit value that everything works with: configuration and platform, opened in order, closed in reverse. */
import { join } from "node:path";
import type { Config } from "./config.ts";
import { AppError, StartError } from "./errors.ts";
import { type Bus, MemoryBus } from "./platform/bus.ts";
import { DatabaseSockets } from "./platform/database_sockets.ts";
import { DatabaseWatch } from "./platform/database_watch.ts";
import { openFiles } from "./platform/file_storages.ts";
import type { Files } from "./platform/files.ts";
import { installJobs } from "./platform/job_store.ts";
import { Jobs } from "./platform/jobs.ts";
import { createLimits, type Limits, type SharedStore } from "./platform/limits.ts";
import { createLog, type Log } from "./platform/log.ts";
import { createMetrics, type Metrics } from "./platform/metrics.ts";
import { migrate } from "./platform/migrate.ts";
import { openEmbeddedDatabase } from "./platform/pglite.ts";
import { openRedis } from "./platform/redis.ts";
import { RedisBus } from "./platform/redis_bus.ts";
import { type DatabaseAddress, isAway, learnTypes, openSql, type Sql } from "./platform/sql.ts";
import { within } from "./platform/timers.ts";

/** How long counting with the other nodes may hold up an operation, before this node's own count has to do. */
const COUNT_MS_MAX = 250;

/** How long closing waits for background work, which has lost its database by then at the latest. */
const CLOSE_MS_MAX = 10_000;

export interface App extends AsyncDisposable {
  readonly config: Config;
  /** Signs and verifies access tokens; at least 32 bytes. */
  readonly jwtSecret: string;
  readonly sql: Sql;
  /** Whether the database answers. */
  readonly database: DatabaseWatch;
  readonly bus: Bus;
  readonly files: Files;
  readonly jobs: Jobs;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly log: Log;
  /** The one value that `create` makes for this app, disposed with it: how a feature owns live state. */
  once<T extends AsyncDisposable>(create: (app: App) => T): T;
  /** The one way to outlive a request: a failure is logged, and closing the app waits for it. */
  background(promise: Promise<unknown>): void;
}

export interface AppOptions {
  /** A database that is open already, and outlives the app. (Default: the one that the configuration names) */
  readonly database?: DatabaseAddress | undefined;
}

/** Opens the database, brings it up to date and returns the app. Throws when a part cannot be opened; what was open by
 * then is closed again. */
export async function createApp(config: Config, { database }: AppOptions = {}): Promise<App> {
  await using stack = new AsyncDisposableStack();
  const log = createLog(config.logLevel);
  const metrics = createMetrics();
  const address = database ?? await openDatabase(config, stack);
  const sockets = new DatabaseSockets();
  const sql = openSql(address, { onStatement: () => metrics.sqlStatements.inc(), sockets });
  stack.defer(() => sql.end({ timeout: 5 }));
  await learnTypes(sql).catch((error) => {
    throw new StartError(`Cannot reach the database: ${error.message || error.code}; check DATABASE_URL`, {
      cause: error,
    });
  });
  const applied = await migrate(sql);
  await installJobs(sql);
  if (applied.length > 0) log.info("Migrated the database", { applied });

  const watch = stack.use(new DatabaseWatch({ address, sql, sockets, log, metrics }));
  const jwtSecret = config.jwtSecret ?? await readOrCreateSecret(config.dataDir);
  const bus = stack.use(await openBus(config, log));
  const jobs = stack.use(new Jobs({ address, sql, bus, log }));
  const limits = stack.use(createLimits(config.rateLimits, openSharedStore(config, { bus, log, stack })));
  metrics.watchBus(bus);
  const pending = new Set<Promise<unknown>>();
  const singles = new Map<unknown, AsyncDisposable>();
  stack.defer(async () => {
    const finish = async () => {
      while (pending.size > 0) await Promise.all(pending);
      return true;
    };
    if (!await within(CLOSE_MS_MAX, finish())) {
      log.error("Background work did not come to its end", { left: pending.size });
    }
  });
  const resources = stack.move();
  const app: App = {
    config,
    jwtSecret,
    sql,
    database: watch,
    bus,
    files: openFiles(config),
    jobs,
    limits,
    metrics,
    log,
    once<T extends AsyncDisposable>(create: (app: App) => T): T {
      const existing = singles.get(create) ?? resources.use(create(app));
      singles.set(create, existing);
      return existing as T; // the key is the function that made it
    },
    background(promise) {
      const settled = promise
        .catch((error) =>
          isAway(error) || (error instanceof AppError && error.code === "UNAVAILABLE")
            ? log.warn("A part of the server was away: background work is left undone", { state: error.message })
            : log.error("Background work failed", { error })
        )
        .finally(() => pending.delete(settled));
      pending.add(settled);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
  return app;
}

async function openDatabase(config: Config, stack: AsyncDisposableStack): Promise<DatabaseAddress> {
  if (config.databaseUrl !== null) return { url: config.databaseUrl };
  const { socketPath } = stack.use(await openEmbeddedDatabase(config.dataDir));
  return { socketPath };
}

async function openBus({ redisUrl, redisPrefix }: Config, log: Log): Promise<Bus> {
  return redisUrl === null ? new MemoryBus(log) : await RedisBus.open({ url: redisUrl, prefix: redisPrefix, log });
}

/** Where the nodes count together. */
function openSharedStore(
  { redisUrl, redisPrefix: prefix }: Config,
  { bus, log, stack }: { readonly bus: Bus; readonly log: Log; readonly stack: AsyncDisposableStack },
): SharedStore | null {
  if (redisUrl === null) return null;
  const { client } = stack.use(openRedis(redisUrl, { name: "limits", log, commandMs: COUNT_MS_MAX }));
  return { client, prefix, isThere: () => bus.isHealthy && client.status === "ready" };
}

async function readOrCreateSecret(dataDir: string): Promise<string> {
  const path = join(dataDir, "jwt_secret");
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const secret = crypto.getRandomValues(new Uint8Array(32)).toHex();
  // Written aside and renamed: a crash in between must not leave half a secret.
  await Deno.writeTextFile(`${path}.new`, secret, { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
  return secret;
}
