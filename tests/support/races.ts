/** Making statements meet: what they need is held back until all of them wait for it. */
import type { TestApp } from "./app.ts";

/** Locks all accounts for a moment. Statements that change one meanwhile wait with what they have read until then; on the
 * embedded database, which runs one statement at a time, they follow one another. Resolves when the lock is let go. */
export async function holdAccounts({ app }: TestApp): Promise<void> {
  await app.sql`
    with held as materialized (
      select id from users for update
    )
    select pg_sleep(0.5) from (select count(*) from held) as all_held`;
}
