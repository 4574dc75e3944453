/** Pages of lists: exact in both directions, whatever their size. */
import { strict as assert } from "node:assert";
import { AppError } from "../src/errors.ts";
import { parsePage } from "../src/lib/pages.ts";
import { type Keyset, readPage } from "../src/platform/keyset.ts";
import type { Fragment, Sql } from "../src/platform/sql.ts";
import { type Any, startApp } from "./support/app.ts";
import { assertPage, assertPages, type PageVariables } from "./support/pages.ts";

const ROWS = 23;
const SIZES = Array.from({ length: 25 }, (_, index) => index + 1);

interface Row {
  readonly id: number;
  readonly score: number;
}

Deno.test("walking a list forwards or backwards meets every row once, for every page size", async () => {
  await using app = await startApp();
  for (const descending of [false, true]) {
    const list = { ...listOf(allRows(app.app.sql)), descending };
    for (const size of SIZES) await assertPages(pagesOf(app.app.sql, list), expected(descending), size);
  }
});

Deno.test("a page between two cursors knows what is before and after it", async () => {
  await using app = await startApp();
  const read = pagesOf(app.app.sql, listOf(allRows(app.app.sql)));
  const ids = expected(false);
  const { edges } = await read({ first: ROWS });
  for (const [from, to] of [[0, 22], [3, 9], [10, 11], [5, 6]] as const) {
    const between = { after: edges[from].cursor, before: edges[to].cursor };
    const inside = ids.slice(from + 1, to);
    assertPage(await read({ first: 50, ...between }), inside, { hasPreviousPage: true, hasNextPage: true });
    assertPage(await read({ last: 50, ...between }), inside, { hasPreviousPage: true, hasNextPage: true });
    assertPage(await read({ first: 2, ...between }), inside.slice(0, 2), { hasPreviousPage: true, hasNextPage: true });
    assertPage(await read({ last: 2, ...between }), inside.slice(-2), { hasPreviousPage: true, hasNextPage: true });
  }
});

Deno.test("a cursor keeps its place when its row is gone", async () => {
  await using app = await startApp();
  const { sql } = app.app;
  const { edges } = await pagesOf(sql, listOf(allRows(sql)))({ first: ROWS });
  const left = pagesOf(sql, listOf(sql`select * from (${allRows(sql)}) as rows where id <> ${edges[9].node.id}`));
  const ids = expected(false).toSpliced(9, 1);
  const page = { hasPreviousPage: true, hasNextPage: true };
  assertPage(await left({ first: 4, after: edges[9].cursor }), ids.slice(9, 13), page);
  assertPage(await left({ last: 4, before: edges[9].cursor }), ids.slice(5, 9), page);
});

Deno.test("an empty list has one empty page", async () => {
  await using app = await startApp();
  const { sql } = app.app;
  const read = pagesOf(sql, listOf(sql`select * from (${allRows(sql)}) as rows where false`));
  for (const size of [{ first: 10 }, { last: 10 }]) {
    assertPage(await read(size), [], { hasPreviousPage: false, hasNextPage: false });
  }
});

Deno.test("a cursor of another list is refused", async () => {
  await using app = await startApp();
  const { sql } = app.app;
  const rows = allRows(sql);
  const { edges: [edge] } = await pagesOf(sql, listOf(rows))({ first: 1 });
  const others: Keyset<Row>[] = [
    { ...listOf(rows), name: "others" },
    { ...listOf(rows), key: [["id", "int"]], keyOf: ({ id }) => [id] },
    { ...listOf(rows), key: [["score", "text"], ["id", "int"]] },
  ];
  for (const other of others) {
    assert.equal(await outcomeOf(pagesOf(sql, other)({ first: 1, after: edge.cursor })), "BAD_USER_INPUT");
  }
});

Deno.test("a cursor that was made up is the client's mistake, not a failure of the server", async () => {
  await using app = await startApp();
  const { sql } = app.app;
  const forged = (...key: unknown[]) => btoa(JSON.stringify(key)).replaceAll("=", "");
  const types: Record<string, unknown[]> = {
    int: ["1", 1.5, null, true, 3_000_000_000],
    bigint: ["1", 2 ** 60],
    timestamptz: ["yesterday", 5, "+275760-09-13T00:00:00.000Z"],
    uuid: ["1", 5, "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"],
    text: [5, "\0"],
  };
  const wrong: string[] = [];
  for (const [type, values] of Object.entries(types)) {
    const key = [["value", type]] as unknown as Keyset<{ value: string }>["key"];
    const rows = sql`select null::${sql.unsafe(type)} as value where false`;
    const read = pagesOf(sql, { name: "made up", rows, key, keyOf: ({ value }: { value: string }) => [value] });
    for (const value of values) {
      const outcome = await outcomeOf(read({ first: 1, after: forged("made up", value) }));
      if (outcome !== "BAD_USER_INPUT") wrong.push(`${type} ${JSON.stringify(value)}: ${outcome}`);
    }
  }
  for (const garbage of ["garbage", "e30", "bnVsbA", "💥"]) {
    const outcome = await outcomeOf(pagesOf(sql, listOf(allRows(sql)))({ first: 1, after: garbage }));
    if (outcome !== "BAD_USER_INPUT") wrong.push(`${garbage}: ${outcome}`);
  }
  assert.deepEqual(wrong, []);
});

/** Rows with many equal scores, so that the order hangs on the whole key. */
function allRows(sql: Sql): Fragment {
  return sql`select id, id % 4 as score from generate_series(1, ${ROWS}::int) as id`;
}

function listOf(rows: Fragment): Keyset<Row> {
  return { name: "rows", rows, key: [["score", "int"], ["id", "int"]], keyOf: ({ score, id }) => [score, id] };
}

function expected(descending: boolean): string[] {
  const ids = Array.from({ length: ROWS }, (_, index) => index + 1).sort((a, b) => a % 4 - b % 4 || a - b);
  return (descending ? ids.reverse() : ids) as unknown as string[];
}

function pagesOf<R extends object>(sql: Sql, list: Keyset<R>): (args: PageVariables) => Promise<Any> {
  return async (args) => await readPage(sql, list, parsePage(args));
}

/** The code of an expected failure; anything else as it was thrown. */
async function outcomeOf(page: Promise<unknown>): Promise<string> {
  return await page.then(() => "a page", (error) => error instanceof AppError ? error.code : String(error));
}
