/** Promises of the tests to each other: none finds what another one did. */
import { strict as assert } from "node:assert";
import { startApp, type TestApp } from "./support/app.ts";

Deno.test("every app in a test finds the database as the migrations left it, also while another one runs", async () => {
  const fresh = await withApp(readCounts);
  const readSetting = async ({ app }: TestApp) => (await app.sql`show statement_timeout`)[0]?.statementTimeout;
  const setting = await withApp(readSetting);
  await withApp(async (app) => {
    const alice = await app.signUp("alice");
    await app.send(alice, await app.makeRoom(alice, await app.signUp("bob")), "hello");
    await app.app.sql`update announcement_log set last_seq = 7`;
    await app.app.sql`set statement_timeout = '1s'`;
    assert.notDeepEqual(await readCounts(app), fresh);
    assert.deepEqual(await withApp(readCounts), fresh, "a second app in the same test");
  });
  assert.deepEqual(await withApp(readCounts), fresh);
  const [log] = await withApp(({ app }) => app.sql`select last_seq from announcement_log`);
  assert.equal(log?.lastSeq, 0);
  assert.equal(await withApp(readSetting), setting);
});

Deno.test("a test that changes the schema fails, and harms none of the others", async () => {
  const damage = withApp(({ app }) => app.sql`alter table messages drop constraint messages_tombstone`);
  await assert.rejects(damage, /its schema has changed; give the app one from createTestDatabase/);
  await withApp(async (app) => {
    const constraints = await app.app.sql`select from pg_constraint where conname = 'messages_tombstone'`;
    assert.equal(constraints.length, 1);
  });
});

async function withApp<T>(act: (app: TestApp) => Promise<T>): Promise<T> {
  await using app = await startApp();
  return await act(app);
}

async function readCounts({ app: { sql } }: TestApp): Promise<Map<string, number>> {
  const tables = await sql<{ name: string }[]>`
    select tablename as name
    from pg_tables
    where schemaname = 'public'`;
  const counts = new Map<string, number>();
  for (const { name } of tables) {
    const [row] = await sql<{ rows: number }[]>`select count(*) as rows from ${sql(name)}`;
    counts.set(name, row?.rows ?? 0);
  }
  return counts;
}
