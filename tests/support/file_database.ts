/** The database of a test file: one app at a time borrows it, and gives it back as the migrations left it. An app of its
 * own costs 0.7 s on the embedded database and 70 ms on Postgres, a borrowed one 20 ms.
 * It is opened and closed in hooks: what these leave open is no leak of the test that comes next. */
import { openEmbeddedDatabase } from "../../src/platform/pglite.ts";
import type { DatabaseAddress, Sql } from "../../src/platform/sql.ts";
import { createTestDatabase, type TestDatabase, withSql } from "./databases.ts";

let database: FileDatabase | null = null;

Deno.test.beforeAll(async () => {
  database = await FileDatabase.open();
});
Deno.test.afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
});

/** An empty database: the file's, or one of its own while another app has that one. */
export async function borrowDatabase(): Promise<TestDatabase> {
  return await database?.borrow() ?? await createTestDatabase();
}

class FileDatabase implements AsyncDisposable {
  #isFree = true;

  private constructor(
    private readonly database: TestDatabase,
    private readonly address: DatabaseAddress,
    private readonly clean: State,
    private readonly resources: AsyncDisposable,
  ) {}

  static async open(): Promise<FileDatabase> {
    await using stack = new AsyncDisposableStack();
    const database = stack.use(await createTestDatabase());
    const { DATABASE_URL, DATA_DIR } = database.config;
    const address = DATABASE_URL === undefined
      ? stack.use(await openEmbeddedDatabase(DATA_DIR))
      : { url: DATABASE_URL };
    return new FileDatabase(database, address, await withSql(address, readState), stack.move());
  }

  async borrow(): Promise<TestDatabase | null> {
    if (!this.#isFree) return null;
    this.#isFree = false;
    const directory = await Deno.makeTempDir({ prefix: "parley-" });
    return {
      config: { ...this.database.config, DATA_DIR: directory },
      address: this.address,
      [Symbol.asyncDispose]: async () => {
        await Deno.remove(directory, { recursive: true });
        await withSql(this.address, (sql) => putBack(sql, this.clean));
        this.#isFree = true; // not after a failure: whoever comes next gets another one
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources[Symbol.asyncDispose]();
  }
}

/** What the migrations have left in it. */
interface State {
  readonly schema: string;
  /** Statements that empty all tables and insert their first rows again. */
  readonly putBack: string;
}

async function readState(sql: Sql): Promise<State> {
  // Of a table in partitions the whole, so not the parts.
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', pg_namespace.nspname, pg_class.relname) as name
    from pg_class
    join pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where pg_namespace.nspname in ('public', 'pgboss')
      and pg_class.relkind in ('r', 'p')
      and not pg_class.relispartition
      and pg_class.oid not in ('public.migrations'::regclass, 'pgboss.version'::regclass)
    order by name`;
  const firstRows = tables.map(({ name }) =>
    `select format(
      'insert into ${name} select * from json_populate_recordset(null::${name}, %L)', json_agg(each)
    ) as insert
    from ${name} each
    having count(*) > 0`
  );
  const inserts = await sql.unsafe<{ insert: string }[]>(firstRows.join(" union all "));
  // In one statement, so that no foreign key is in the way.
  const deletes = tables.map(({ name }, index) => `table_${index} as (delete from ${name})`).join(", ");
  return {
    schema: await readSchema(sql),
    putBack: [`with ${deletes} select`, ...inserts.map(({ insert }) => insert)].join("; "),
  };
}

/** Deletes 20 times faster than `truncate`, and fails when that is not enough to undo what the test did. */
async function putBack(sql: Sql, clean: State): Promise<void> {
  if (await readSchema(sql) !== clean.schema) {
    throw new Error(
      "Cannot use the database again: its schema has changed; give the app one from createTestDatabase()",
    );
  }
  await sql.unsafe(clean.putBack).simple();
  await sql.unsafe("discard all").simple(); // the embedded database has one session, which outlives its connections
}

/** Another text after every change of the schema. */
async function readSchema(sql: Sql): Promise<string> {
  const [{ schema }] = await sql<[{ schema: string }]>`
    select concat(count(*), ' ', max(xmin::text::bigint)) as schema
    from (
      select xmin from pg_class
      union all select xmin from pg_attribute
      union all select xmin from pg_constraint
      union all select xmin from pg_trigger
      union all select xmin from pg_proc
    ) definitions`;
  return schema;
}
