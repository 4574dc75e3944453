/** Bringing a database up to date. */
import { strict as assert } from "node:assert";
import { createApp } from "../src/app.ts";
import { startParley } from "../src/main.ts";
import { listMigrations, migrate } from "../src/platform/migrate.ts";
import { openSql, type Sql } from "../src/platform/sql.ts";
import { startApp, testConfig } from "./support/app.ts";
import { createTestDatabase, TEST_DATABASE_URL } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";

const SERVERS = 4;

Deno.test("a database that is up to date is left as it is", async () => {
  await using app = await startApp();
  const before = await app.app.sql`select id, name, applied_at from migrations order by id`;
  assert.deepEqual(before.map(({ name }) => name), (await listMigrations()).map(({ name }) => name));
  assert.deepEqual(await migrate(app.app.sql), []);
  assert.deepEqual([...await app.app.sql`select id, name, applied_at from migrations order by id`], [...before]);
});

Deno.test("a database that is newer than the release is refused, untouched, with what to do", async () => {
  await using database = await createTestDatabase();
  const config = testConfig(database.config);
  {
    await using parley = await startParley(config);
    await parley.app.sql`insert into migrations (id, name) values (9999, '9999_future.sql')`;
  }
  await assert.rejects(
    startParley(config),
    /^StartError: Cannot use the database: it is at migration 9999, newer than this release \(\d+\); upgrade Parley$/,
  );
});

Deno.test({
  name: "servers that start at once on an empty database all succeed, and each migration is applied once",
  ignore: TEST_DATABASE_URL === null,
  async fn() {
    await using database = await createEmptyDatabase(TEST_DATABASE_URL ?? "");
    const config = testConfig(database.config);
    await using servers = new AsyncDisposableStack();
    const starts = await Promise.allSettled(Array.from({ length: SERVERS }, () => startParley(config)));
    const failures = starts.flatMap((start) => start.status === "fulfilled" ? [] : [String(start.reason)]);
    for (const start of starts) if (start.status === "fulfilled") servers.use(start.value);
    assert.deepEqual(failures, []);
    await using app = await createApp(config);
    const applied = await app.sql<{ name: string }[]>`select name from migrations order by id`;
    assert.deepEqual(applied.map(({ name }) => name), (await listMigrations()).map(({ name }) => name));
  },
});

Deno.test({
  name: "a migration waits as long as it must for the server that is at it: the limits of statements are not for it",
  ignore: TEST_DATABASE_URL === null,
  async fn() {
    await using database = await createEmptyDatabase(TEST_DATABASE_URL ?? "");
    const url = database.config.DATABASE_URL;
    const open = (statementMs: number) => openSql({ url }, { onStatement: () => {}, poolSize: 1, statementMs });
    const [busy, waiting] = [open(0), open(200)];
    await using stack = new AsyncDisposableStack();
    for (const sql of [busy, waiting]) stack.defer(() => sql.end());
    await busy`select pg_advisory_lock(7265010)`;
    const migrated = migrate(waiting);
    await eventually("the migration has waited for longer than a statement may take", async () => {
      const [{ isLate }] = await busy<[{ isLate: boolean }]>`
        select exists (
          select
          from pg_stat_activity
          where datname = current_database()
            and wait_event = 'advisory'
            and now() - query_start > interval '500 ms'
        ) as is_late`;
      return isLate;
    });
    await busy`select pg_advisory_unlock(7265010)`;
    assert.equal((await migrated).length, (await listMigrations()).length);
  },
});

interface EmptyDatabase extends AsyncDisposable {
  readonly config: { readonly DATABASE_URL: string; readonly JWT_SECRET: string };
}

async function createEmptyDatabase(server: string): Promise<EmptyDatabase> {
  const name = `parley_${crypto.randomUUID().replaceAll("-", "")}`;
  const asAdmin = async (act: (sql: Sql) => Promise<unknown>) => {
    const sql = openSql({ url: server }, { onStatement: () => {}, poolSize: 1, statementMs: 0 });
    await act(sql).finally(() => sql.end());
  };
  await asAdmin((sql) => sql.unsafe(`create database ${name}`));
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    config: { DATABASE_URL: url.href, JWT_SECRET: "a secret for tests, 32 bytes or more" },
    [Symbol.asyncDispose]: () => asAdmin((sql) => sql.unsafe(`drop database ${name} with (force)`)),
  };
}
