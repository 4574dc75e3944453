/** Brings the database up to date: numbered SQL files, each applied once, whole or not at all, by one node at a time. */
import { StartError } from "../errors.ts";
import { isViolationOf, type Sql } from "./sql.ts";

const MIGRATIONS_DIR = new URL("../../migrations/", import.meta.url);

/** Any number will do, as long as nothing else in the database uses it. */
const MIGRATION_LOCK = 7_265_010;
/** A migration takes the time that it takes, and so does waiting for the node that is at it. */
const UNLIMITED = "set local statement_timeout = 0; set local lock_timeout = 0";

export interface Migration {
  readonly id: number;
  readonly name: string;
  readonly statements: string;
}

/** All migrations of this release, in order. Throws when a number is missing or used twice. */
export async function listMigrations(): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for await (const { name } of Deno.readDir(MIGRATIONS_DIR)) {
    const [, number] = /^(\d{4})_[a-z_]+\.sql$/.exec(name) ?? [];
    if (number === undefined) throw new Error(`Cannot read migrations: ${name} is not named like 0001_users.sql`);
    migrations.push({ id: Number(number), name, statements: await Deno.readTextFile(new URL(name, MIGRATIONS_DIR)) });
  }
  migrations.sort((a, b) => a.id - b.id);
  migrations.forEach(({ id, name }, index) => {
    if (id !== index + 1) throw new Error(`Cannot read migrations: ${name} should have number ${index + 1}`);
  });
  return migrations;
}

/** Applies what is missing and returns its names. Safe to run on all nodes at once. Throws when the database is newer
 * than this release. */
export async function migrate(sql: Sql): Promise<string[]> {
  await inTransaction(
    sql,
    `create table if not exists migrations (
      id int primary key,
      name text not null,
      applied_at timestamptz not null default now()
    )`,
  );
  const applied: string[] = [];
  const known = await listMigrations();
  const newest = known.at(-1)?.id ?? 0;
  while (true) {
    const [{ last }] = await sql<[{ last: number }]>`select coalesce(max(id), 0)::int as last from migrations`;
    if (last > newest) {
      throw new StartError(
        `Cannot use the database: it is at migration ${last}, newer than this release (${newest}); upgrade Parley`,
      );
    }
    const next = known[last];
    if (next === undefined) return applied;
    try {
      await inTransaction(
        sql,
        `insert into migrations (id, name) values (${next.id}, '${next.name}'); ${next.statements}`,
      );
      applied.push(next.name);
    } catch (error) {
      if (!isViolationOf(error, "migrations_pkey")) throw error; // another node was faster: go on from where it is
    }
  }
}

// One simple-protocol message is one implicit transaction, and the lock goes with it.
async function inTransaction(sql: Sql, statements: string): Promise<void> {
  await sql.unsafe(`${UNLIMITED}; select pg_advisory_xact_lock(${MIGRATION_LOCK}); ${statements}`).simple();
}
