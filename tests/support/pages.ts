/** Walking through lists, page by page. */
import { strict as assert } from "node:assert";
import type { Any } from "./app.ts";

/** What every page of a list selects. */
export const PAGE = "edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
export const PAGE_VARIABLES = "$first: Int, $after: String, $last: Int, $before: String";
export const PAGE_ARGS = "first: $first, after: $after, last: $last, before: $before";

export interface PageVariables {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly last?: number | null;
  readonly before?: string | null;
}

type ReadPage = (args: PageVariables) => Promise<Any>;

/** Reads the whole list in pages of `size`, forwards and backwards, and checks all of every page. */
export async function assertPages(read: ReadPage, expected: readonly string[], size: number): Promise<void> {
  const total = expected.length;
  let after: string | null = null;
  for (let start = 0; start === 0 || start < total; start += size) {
    const end = Math.min(start + size, total);
    const page: Any = await read({ first: size, after });
    assertPage(page, expected.slice(start, end), { hasPreviousPage: start > 0, hasNextPage: end < total });
    after = page.pageInfo.endCursor;
  }
  let before: string | null = null;
  for (let end = total; end === total || end > 0; end -= size) {
    const start = Math.max(end - size, 0);
    const page: Any = await read({ last: size, before });
    assertPage(page, expected.slice(start, end), { hasPreviousPage: start > 0, hasNextPage: end < total });
    before = page.pageInfo.startCursor;
  }
}

export function assertPage(
  page: Any,
  ids: readonly string[],
  has: { readonly hasPreviousPage: boolean; readonly hasNextPage: boolean },
): void {
  assert.deepEqual(idsOf(page), ids);
  assert.deepEqual(page.pageInfo, {
    ...has,
    startCursor: page.edges.at(0)?.cursor ?? null,
    endCursor: page.edges.at(-1)?.cursor ?? null,
  });
}

export function idsOf(page: Any): string[] {
  return page.edges.map(({ node }: Any) => node.id);
}
