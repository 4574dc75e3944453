/** The embedded database: one directory, one server, no installation. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { openEmbeddedDatabase } from "../src/platform/pglite.ts";
import { openSql, type Sql } from "../src/platform/sql.ts";
import { createEmbedded } from "./support/databases.ts";

Deno.test("the embedded database is made where only the server's own user can look, and keeps its rows from one start to the next", async () => {
  await using directory = await makeDirectory();
  const path = join(directory.path, "data");
  {
    await using database = await open(path);
    await database.sql`create table kept (value text)`;
    await database.sql`insert into kept (value) values ('Grüße 👋')`;
    const { mode } = await Deno.stat(path);
    assert.equal((mode ?? 0) & 0o077, 0);
  }
  await using database = await open(path);
  assert.deepEqual([...await database.sql`select value from kept`], [{ value: "Grüße 👋" }]);
});

Deno.test("a second server on the same directory is refused, and the first does not notice", async () => {
  await using existing = await createEmbedded();
  const { DATA_DIR: path } = existing.config;
  await using database = await open(path);
  await assert.rejects(openEmbeddedDatabase(path), {
    message: `Cannot open the embedded database: another Parley server uses ${path}; stop it or set DATA_DIR`,
  });
  assert.deepEqual([...await database.sql`select 1 as one`], [{ one: 1 }]);
});

Deno.test("a directory that was given up can be opened again", async () => {
  await using existing = await createEmbedded();
  const { DATA_DIR: path } = existing.config;
  await (await openEmbeddedDatabase(path))[Symbol.asyncDispose]();
  await using again = await openEmbeddedDatabase(path);
  assert.equal(again.socketPath, join(path, "postgres.sock"));
});

Deno.test("a path that is too long for a socket is refused before anything is made there", async () => {
  await using directory = await makeDirectory();
  const path = join(directory.path, "x".repeat(100));
  await assert.rejects(openEmbeddedDatabase(path), /is too long for a socket, choose a shorter DATA_DIR$/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(directory.path)), []);
});

Deno.test("statements at the same time each get their own answer", async () => {
  await using existing = await createEmbedded();
  const { DATA_DIR: path } = existing.config;
  await using database = await open(path);
  const numbers = Array.from({ length: 100 }, (_, index) => index);
  const answers = await Promise.all(
    numbers.map(async (n) => (await database.sql`select ${n}::int as n, pg_sleep(0.001)`)[0]?.n),
  );
  assert.deepEqual(answers, numbers);
});

interface OpenDatabase extends AsyncDisposable {
  readonly sql: Sql;
}

async function open(path: string): Promise<OpenDatabase> {
  const database = await openEmbeddedDatabase(path);
  const sql = openSql(database, { onStatement: () => {} });
  return {
    sql,
    async [Symbol.asyncDispose]() {
      await sql.end();
      await database[Symbol.asyncDispose]();
    },
  };
}

async function makeDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "parley-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
