/** A fresh, migrated database for each app under test: copied from an image that is made once for each set of migrations. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import denoJson from "../../deno.json" with { type: "json" };
import { openEmbeddedDatabase } from "../../src/platform/pglite.ts";
import { installJobs } from "../../src/platform/job_store.ts";
import { listMigrations, migrate } from "../../src/platform/migrate.ts";
import { type DatabaseAddress, openSql, type Sql } from "../../src/platform/sql.ts";

/** Where the suite runs; unset: on the embedded database. */
export const TEST_DATABASE_URL = Deno.env.get("TEST_DATABASE_URL") || null;

/** Where the suite finds Redis; unset: each app is alone. */
export const TEST_REDIS_URL = Deno.env.get("TEST_REDIS_URL") || null;

/** Whether several nodes can be started: the embedded database is one node's own. */
export const isClustered = TEST_DATABASE_URL !== null && TEST_REDIS_URL !== null;

export interface TestDatabase extends AsyncDisposable {
  /** The part of the configuration that points to it. */
  readonly config: { readonly DATA_DIR: string; readonly DATABASE_URL?: string; readonly JWT_SECRET?: string };
  /** Where it is, when it is open already. */
  readonly address?: DatabaseAddress;
}

export function createTestDatabase(): Promise<TestDatabase> {
  return TEST_DATABASE_URL === null ? createEmbedded() : createOnServer(TEST_DATABASE_URL);
}

/** A directory of an embedded database, wherever the suite runs. */
export async function createEmbedded(): Promise<TestDatabase> {
  const image = await embeddedImage();
  const dataDir = await Deno.makeTempDir({ prefix: "parley-" });
  await copyDirectory(image, dataDir);
  return {
    config: { DATA_DIR: dataDir },
    [Symbol.asyncDispose]: () => Deno.remove(dataDir, { recursive: true }),
  };
}

async function createOnServer(url: string): Promise<TestDatabase> {
  const template = await serverTemplate(url);
  const name = `parley_${crypto.randomUUID().replaceAll("-", "")}`;
  await withSql({ url }, (sql) => sql.unsafe(`create database ${name} template ${template}`));
  const dataDir = await Deno.makeTempDir({ prefix: "parley-" });
  return {
    config: {
      DATA_DIR: dataDir,
      DATABASE_URL: withDatabase(url, name),
      JWT_SECRET: "a secret for tests, 32 bytes or more",
    },
    async [Symbol.asyncDispose]() {
      await withSql({ url }, (sql) => sql.unsafe(`drop database ${name} with (force)`));
      await Deno.remove(dataDir, { recursive: true });
    },
  };
}

/** Does something on a connection of its own. */
export async function withSql<T>(address: DatabaseAddress, act: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = openSql(address, { onStatement: () => {}, poolSize: 1, statementMs: 0 });
  try {
    return await act(sql);
  } finally {
    await sql.end();
  }
}

/** Ends every other connection to the database, as an operator or a failing server does; returns how many there were. */
export async function terminateBackends(sql: Sql): Promise<number> {
  const ended = await sql`
    select pg_terminate_backend(pid)
    from pg_stat_activity
    where datname = current_database()
      and pid <> pg_backend_pid()`;
  return ended.length;
}

/** A data directory with all migrations applied. Test files run side by side, so it is built under a lock, once. */
async function embeddedImage(): Promise<string> {
  const root = join(Deno.env.get("TMPDIR") ?? "/tmp", "parley-test-images");
  await Deno.mkdir(root, { recursive: true });
  const image = join(root, await migrationsHash());
  using lock = await Deno.open(join(root, "lock"), { create: true, write: true });
  await lock.lock(true);
  if (await exists(image)) return image;
  const building = await Deno.makeTempDir({ dir: root });
  {
    await using database = await openEmbeddedDatabase(building);
    await withSql(database, async (sql) => {
      await install(sql);
      await dropTemplates(sql);
    });
  }
  await Deno.rename(building, image);
  return image;
}

async function serverTemplate(url: string): Promise<string> {
  const template = `parley_template_${(await migrationsHash()).slice(0, 16)}`;
  await withSql({ url }, async (sql) => {
    await using _lock = await advisoryLock(sql);
    const [existing] = await sql`select from pg_database where datname = ${template}`;
    if (existing) return;
    const building = `${template}_building`;
    await sql.unsafe(`drop database if exists ${building} with (force)`);
    await sql.unsafe(`create database ${building}`);
    await withSql({ url: withDatabase(url, building) }, install);
    await sql.unsafe(`alter database ${building} rename to ${template}`);
  });
  return template;
}

// Held by the one connection of this admin client until it is released.
async function advisoryLock(sql: Sql): Promise<AsyncDisposable> {
  await sql`select pg_advisory_lock(7265011)`;
  return { [Symbol.asyncDispose]: async () => void await sql`select pg_advisory_unlock(7265011)` };
}

/** All that a server finds in its database. */
async function install(sql: Sql): Promise<void> {
  await migrate(sql);
  await installJobs(sql);
}

/** Nothing looks into the template databases, and they are more than half of the files of every copy. */
async function dropTemplates(sql: Sql): Promise<void> {
  await sql`update pg_database set datistemplate = false`;
  for (const name of ["template0", "template1"]) await sql`drop database ${sql(name)}`;
}

async function migrationsHash(): Promise<string> {
  const hash = createHash("sha256").update(denoJson.imports["pg-boss"]);
  for (const { name, statements } of await listMigrations()) hash.update(name).update(statements);
  return hash.digest("hex");
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function copyDirectory(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  const copies: Promise<void>[] = [];
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    copies.push(isDirectory ? copyDirectory(source, target) : Deno.copyFile(source, target));
  }
  await Promise.all(copies);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
