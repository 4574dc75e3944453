/** Keyset pages: one statement reads a page that is exact in both directions, however rows come and go in between. */
import { Buffer } from "node:buffer";
import { AppError } from "../errors.ts";
import type { Connection, Page } from "../lib/pages.ts";
import type { Fragment, Sql } from "./sql.ts";

type KeyValue = string | number | boolean;
type KeyType = "uuid" | "text" | "int" | "bigint" | "timestamptz";

export interface Keyset<Row> {
  /** Names this order in its cursors, so that a cursor of another list is refused. */
  readonly name: string;
  /** All rows of the list, as a select without `order by`; its columns include the key. */
  readonly rows: Fragment;
  /** Columns of a total order, all in the same direction. */
  readonly key: readonly (readonly [column: string, type: KeyType])[];
  readonly descending?: boolean;
  /** The key of a row as it goes into a cursor, in the order of `key`. */
  readonly keyOf: (row: Row) => readonly KeyValue[];
  /** How a position looks outside. (Default: opaque base64url) */
  readonly codec?: CursorCodec;
}

export interface CursorCodec {
  encode(key: readonly KeyValue[]): string;
  /** Throws BAD_USER_INPUT. */
  decode(cursor: string): readonly KeyValue[];
}

/** Throws BAD_USER_INPUT for a cursor of another list. */
export async function readPage<Row extends object>(sql: Sql, list: Keyset<Row>, page: Page): Promise<Connection<Row>> {
  const codec = list.codec ?? opaqueCodec(list);
  const columns = sql.unsafe(list.key.map(([column]) => column).join(", "));
  const order = (isReversed: boolean) =>
    sql.unsafe(
      list.key.map(([column]) => `${column} ${isReversed === (list.descending ?? false) ? "asc" : "desc"}`).join(", "),
    );
  const bound = (cursor: string) => {
    const values = codec.decode(cursor);
    return list.key.map(([, type], index) => sql`${values[index] ?? null}::${sql.unsafe(type)}`)
      .reduce((all, value) => sql`${all}, ${value}`);
  };
  const isBeyond = (side: "after" | "before", cursor: string | null, isInclusive: boolean) => {
    if (cursor === null) return sql`false`;
    const isGreater = (side === "after") !== (list.descending ?? false);
    return sql`(${columns}) ${sql.unsafe((isGreater ? ">" : "<") + (isInclusive ? "=" : ""))} (${bound(cursor)})`;
  };
  const [from, to] = [page.after, page.before];
  const found = await sql<(Row & { pagePart: string })[]>`
    (
      select 'page' as page_part, page.*
      from (${list.rows}) as page
      where ${from === null ? sql`true` : isBeyond("after", from, false)}
        and ${to === null ? sql`true` : isBeyond("before", to, false)}
      order by ${order(page.fromEnd)}
      limit ${page.size + 1}
    ) union all (
      select 'earlier', earlier.*
      from (${list.rows}) as earlier
      where ${isBeyond("before", from, true)}
      limit 1
    ) union all (
      select 'later', later.*
      from (${list.rows}) as later
      where ${isBeyond("after", to, true)}
      limit 1
    )`;
  const rows = found.filter(({ pagePart }) => pagePart === "page");
  const hasMore = rows.length > page.size;
  if (hasMore) rows.pop();
  if (page.fromEnd) rows.reverse();
  const edges = rows.map((node) => ({ cursor: codec.encode(list.keyOf(node)), node }));
  return {
    edges,
    pageInfo: {
      hasPreviousPage: (page.fromEnd && hasMore) || found.some(({ pagePart }) => pagePart === "earlier"),
      hasNextPage: (!page.fromEnd && hasMore) || found.some(({ pagePart }) => pagePart === "later"),
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

/** The cursor of one row, as its edge in the list would have it. */
export function cursorOf<Row>(list: Pick<Keyset<Row>, "name" | "key" | "keyOf">, row: Row): string {
  return opaqueCodec(list).encode(list.keyOf(row));
}

function opaqueCodec<Row>({ name, key }: Pick<Keyset<Row>, "name" | "key">): CursorCodec {
  return {
    encode: (values) => Buffer.from(JSON.stringify([name, ...values])).toString("base64url"),
    decode(cursor) {
      const values = parseJson(Buffer.from(cursor, "base64url").toString());
      if (
        !Array.isArray(values) || values.shift() !== name || values.length !== key.length ||
        !key.every(isOfType(values))
      ) {
        throw new AppError("BAD_USER_INPUT", "Cannot read the page: the cursor does not belong to this list");
      }
      return values;
    },
  };
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

const isOfType = (values: readonly unknown[]) => ([, type]: readonly [string, KeyType], index: number): boolean => {
  const value = values[index];
  switch (type) {
    case "uuid":
      return typeof value === "string" && UUID.test(value);
    case "timestamptz":
      return typeof value === "string" && TIMESTAMP.test(value) && !Number.isNaN(Date.parse(value));
    case "text":
      return typeof value === "string" && !value.includes("\0");
    case "int":
      return Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31;
    case "bigint":
      return Number.isSafeInteger(value);
    default:
      return type satisfies never;
  }
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
