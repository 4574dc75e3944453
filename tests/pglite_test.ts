/** The embedded database: one directory, one server, no installation. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { openEmbeddedDatabase } from "../src/platform/pglite.ts";
import { openSql, type Sql } from "../src/platform/sql.ts";

Deno.test("the embedded database keeps its rows from one start to the next", async () => {
  await using directory = await makeDirectory();
  {
    await using database = await open(directory.path);
    await database.sql`create table kept (value text)`;
    await database.sql`insert into kept (value) values ('Grüße 👋')`;
  }
  await using database = await open(directory.path);
  assert.deepEqual([...await database.sql`select value from kept`], [{ value: "Grüße 👋" }]);
});

Deno.test("a second server on the same directory is refused, and the first does not notice", async () => {
  await using directory = await makeDirectory();
  await using database = await open(directory.path);
  await assert.rejects(openEmbeddedDatabase(directory.path), {
    message: `Cannot open the embedded database: another Parley server uses ${directory.path}; stop it or set DATA_DIR`,
  });
  assert.deepEqual([...await database.sql`select 1 as one`], [{ one: 1 }]);
});

Deno.test("a directory that was given up can be opened again", async () => {
  await using directory = await makeDirectory();
  await (await openEmbeddedDatabase(directory.path))[Symbol.asyncDispose]();
  await using again = await openEmbeddedDatabase(directory.path);
  assert.equal(again.socketPath, join(directory.path, "postgres.sock"));
});

Deno.test("a path that is too long for a socket is refused before anything is made there", async () => {
  await using directory = await makeDirectory();
  const path = join(directory.path, "x".repeat(100));
  await assert.rejects(openEmbeddedDatabase(path), /is too long for a socket, choose a shorter DATA_DIR$/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(directory.path)), []);
});

Deno.test("only the server's own user can look into the directory", async () => {
  await using directory = await makeDirectory();
  const path = join(directory.path, "data");
  await using _database = await openEmbeddedDatabase(path);
  const { mode } = await Deno.stat(path);
  assert.equal((mode ?? 0) & 0o077, 0);
});

Deno.test("statements at the same time each get their own answer", async () => {
  await using directory = await makeDirectory();
  await using database = await open(directory.path);
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
