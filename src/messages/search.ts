/** Searching messages, in the rooms of the viewer and nowhere else. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { type Connection, EMPTY_PAGE, type Page } from "../lib/pages.ts";
import { type Keyset, readPage } from "../platform/keyset.ts";
import type { Fragment, Sql } from "../platform/sql.ts";
import type { MediaKind } from "../uploads/files.ts";
import type { Message } from "./messages.ts";
import { authorGram, quarterOf, roomGram, toArray } from "./search_index.ts";
import { type Alternative, parseQuery } from "./search_queries.ts";
import { makeSnippet } from "./snippets.ts";

/** Messages that one search reads. What has more is found in the newest of them: the work of a search does not grow with the
 * server, nor with its age. */
const CANDIDATES_MAX = 10_000;
/** Eight quarters and 56 years. A number that the planner can see: it expects a thousand otherwise. */
const PERIODS_MAX = 64;

export interface SearchFilter {
  /** Only of these the rooms that the viewer is in; `null` in a list for a text that is no id. */
  readonly roomIds?: readonly (string | null)[] | null | undefined;
  readonly authorIds?: readonly (string | null)[] | null | undefined;
  readonly mediaKinds?: readonly MediaKind[] | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
}

export interface Hit extends Message {
  /** 1 where all terms are whole words, 0 where some are only part of one. */
  readonly rank: number;
  /** Plain text, with the matches between U+E000 and U+E001. */
  readonly snippet: string;
}

const HITS: Omit<Keyset<Omit<Hit, "snippet">>, "rows"> = {
  name: "searchMessages",
  key: [["rank", "int"], ["id", "uuid"]],
  keyOf: ({ rank, id }) => [rank, id],
  descending: true,
};

/** Messages that the query finds: whole words first, then the newest. Throws BAD_USER_INPUT, RATE_LIMITED. */
export async function searchMessages(
  app: App,
  viewer: Viewer,
  { query, filter, page }: { readonly query: string; readonly filter: SearchFilter; readonly page: Page },
): Promise<Connection<Hit>> {
  const alternatives = parseQuery(query);
  if (alternatives.length === 0) return EMPTY_PAGE;
  await app.limits.take("search", viewer.userId);
  const rows = selectHits(app, viewer, { alternatives, filter });
  const { edges, pageInfo } = await readPage<Omit<Hit, "snippet">>(app.sql, { ...HITS, rows }, page);
  return {
    edges: edges.map(({ cursor, node }) => ({
      cursor,
      node: { ...node, snippet: makeSnippet(node.content ?? "", alternatives) },
    })),
    pageInfo,
  };
}

/** Every hit is joined to the membership of the viewer, whatever the index says: whoever is removed finds nothing more. */
function selectHits(
  app: App,
  viewer: Viewer,
  { alternatives, filter }: { readonly alternatives: readonly Alternative[]; readonly filter: SearchFilter },
): Fragment {
  const { sql } = app;
  return sql`
    select messages.*, hit.rank
    from (
      select message_id, (${matches(sql, alternatives, "whole")})::int as rank
      from (${selectCandidates(app, viewer, { alternatives, filter })}) as candidate
      where ${matches(sql, alternatives, "part")}
    ) as hit
    join messages on messages.id = hit.message_id
    join members on members.room_id = messages.room_id
    where members.user_id = ${viewer.userId}
      and ${isIn(sql, sql`messages.room_id`, filter.roomIds)}
      and ${isIn(sql, sql`messages.author_id`, filter.authorIds)}
      and ${filter.createdFrom ? sql`messages.created_at >= ${filter.createdFrom}` : sql`true`}
      and ${filter.createdBefore ? sql`messages.created_at < ${filter.createdBefore}` : sql`true`}
      and ${filter.mediaKinds ? hasKind(sql, filter.mediaKinds) : sql`true`}`;
}

function hasKind(sql: Sql, kinds: readonly MediaKind[]): Fragment {
  return sql`(
    messages.attachment_count > 0
    and exists (
      select
      from attachments
      where attachments.message_id = messages.id
        and attachments.media_kind = any(${kinds as string[]}::text[])
    )
  )`;
}

/** The newest messages that have all grams of an alternative. Quarters of the last two years and then years come from the
 * newest back and are read one by one, until there are enough: the nested loop of the `lateral` keeps their order and stops
 * at the limit. Of 200,000 messages in 51 rooms a rare word is found in 10 ms, a single letter in 100. */
function selectCandidates(
  app: App,
  viewer: Viewer,
  { alternatives, filter }: { readonly alternatives: readonly Alternative[]; readonly filter: SearchFilter },
): Fragment {
  const { sql } = app;
  const quarter = (at: Fragment) => quarterOf(sql, at);
  const hasGrams = either(
    sql,
    alternatives.map(({ all }) => sql`grams @> ${toArray(all.flatMap(({ grams }) => grams))}::int[]`),
  );
  return sql`
    with room as (
      select rooms.id,
        greatest(${quarter(sql`rooms.created_at`)}, ${
    quarter(sql`${filter.createdFrom ?? null}::timestamptz`)
  }) as since,
        least(
          ${quarter(sql`rooms.last_activity_at`)},
          ${quarter(sql`${filter.createdBefore ?? null}::timestamptz`)}
        ) as until
      from rooms
      join members on members.room_id = rooms.id
      where members.user_id = ${viewer.userId}
        and ${isIn(sql, sql`rooms.id`, filter.roomIds)}
    ), bound as (
      select min(since) as since, max(until) as until, (max(until) / 4 - 1) * 4 as last_year from room
    ), period as (
      select number, number as since, number as until
      from bound, generate_series(bound.until, greatest(bound.since, bound.last_year), -1) as number
      union all
      select number, number * 4, number * 4 + 3
      from bound, generate_series(bound.last_year / 4 - 1, bound.since / 4, -1) as number
      limit ${PERIODS_MAX}
    )
    select found.message_id, found.folded
    from period
    cross join lateral (
      select message_id, folded
      from (
        select message_id, folded
        from message_texts
        where grams && array(
            select ${roomGram(sql, sql`id`, sql`period.number`)}
            from room
            where room.since <= period.until
              and room.until >= period.since
          )
          and ${hasGrams}
          and ${isBy(sql, filter.authorIds)}
        offset 0 -- else the order below may make it read all messages of the server by their ids
      ) as message_texts
      order by message_id desc
      limit ${CANDIDATES_MAX}
    ) as found
    limit ${CANDIDATES_MAX}`;
}

/** Whether the folded text is what one of the alternatives asks for. */
function matches(sql: Sql, alternatives: readonly Alternative[], by: "part" | "whole"): Fragment {
  return either(
    sql,
    alternatives.map(({ all, none }) =>
      [
        ...all.map((term) => sql`strpos(folded, ${term[by]}) > 0`),
        ...none.map(({ part }) => sql`strpos(folded, ${part}) = 0`),
      ].reduce((one, other) => sql`${one} and ${other}`)
    ),
  );
}

function either(sql: Sql, conditions: readonly Fragment[]): Fragment {
  return sql`(${conditions.reduce((one, other) => sql`${one} or ${other}`)})`;
}

function isIn(sql: Sql, column: Fragment, ids: readonly (string | null)[] | null | undefined): Fragment {
  return ids ? sql`${column} = any(${ids as string[]}::uuid[])` : sql`true`;
}

function isBy(sql: Sql, authorIds: readonly (string | null)[] | null | undefined): Fragment {
  if (!authorIds) return sql`true`;
  return sql`grams && array(select ${
    authorGram(sql, sql`id`)
  } from unnest(${authorIds as string[]}::uuid[]) as author (id))`;
}
