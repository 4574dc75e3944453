/** Relay page arguments, checked once for every connection. Pure; `platform/keyset.ts` reads the rows. */
import { AppError } from "../errors.ts";

/** Rows of one page at most, and where the client leaves it open. */
export const PAGE_SIZE_MAX = 100;
export const PAGE_SIZE_DEFAULT = 50;

export interface PageArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly last?: number | null | undefined;
  readonly before?: string | null | undefined;
}

export interface Page {
  readonly size: number;
  /** Whether the page is taken from the end of the range (`last`) instead of its start (`first`). */
  readonly fromEnd: boolean;
  readonly after: string | null;
  readonly before: string | null;
}

/** `last` wins over `first`, which most fields default. Throws BAD_USER_INPUT for a size below 0 or above 100. */
export function parsePage(args: PageArgs): Page {
  const fromEnd = args.last !== null && args.last !== undefined;
  const size = (fromEnd ? args.last : args.first) ?? PAGE_SIZE_DEFAULT;
  const name = fromEnd ? "last" : "first";
  if (size < 0) throw new AppError("BAD_USER_INPUT", `Cannot read the page: \`${name}\` is ${size}, below 0`);
  if (size > PAGE_SIZE_MAX) {
    throw new AppError(
      "BAD_USER_INPUT",
      `Cannot read the page: \`${name}\` is ${size}, the limit is ${PAGE_SIZE_MAX}`,
      {
        limit: PAGE_SIZE_MAX,
      },
    );
  }
  return { size, fromEnd, after: args.after ?? null, before: args.before ?? null };
}

export interface Edge<Node> {
  readonly cursor: string;
  readonly node: Node;
}

export interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

export interface Connection<Node> {
  readonly edges: Edge<Node>[];
  readonly pageInfo: PageInfo;
}

/** A list without anything in it. */
export const EMPTY_PAGE: Connection<never> = {
  edges: [],
  pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
};
