/** The index of message search: what the statements that send, edit and delete write, and how a search narrows it down. No
 * extension: an array of numbers with a GIN index, which every Postgres has. */
import type { App } from "../app.ts";
import type { Fragment, Sql } from "../platform/sql.ts";
import { gramsOf, joinRuns, normalise, runsOf } from "./grams.ts";

/** One part of a `with`: what the part `message` before it returns is found by this content from now on, by none for
 * `null`. Sending takes 1.3 times the CPU for it; of that, the grams 9 µs for a short message and 0.5 ms for 4,000
 * Chinese characters. */
export function indexText({ sql }: App, content: string | null): Fragment {
  if (content === null) {
    return sql`
    indexed as (
      delete from message_texts
      using message
      where message_texts.message_id = message.id
    )`;
  }
  const runs = runsOf(normalise(content));
  const quarter = quarterOf(sql, sql`created_at`);
  return sql`
    indexed as (
      insert into message_texts (message_id, folded, grams)
      select id, ${joinRuns(runs)},
        ${toArray(gramsOf(runs))}::int[] || array[
          ${authorGram(sql, sql`author_id`)},
          ${roomGram(sql, sql`room_id`, quarter)},
          ${roomGram(sql, sql`room_id`, sql`${quarter} / 4`)}
        ]
      from message
      on conflict (message_id) do update
      set folded = excluded.folded,
        grams = excluded.grams
    )`;
}

/** Room and time of a message are grams too: a search goes through the viewer's rooms period by period, from the newest back.
 * A period is a quarter or a year, by its number. The last 32 bits of a UUIDv7 are random, and two things with the same gram
 * only cost a look at the message. */
export function roomGram(sql: Sql, roomId: Fragment, period: Fragment): Fragment {
  return sql`(${idGram(sql, roomId)} # ${period})`;
}

export function authorGram(sql: Sql, authorId: Fragment): Fragment {
  return idGram(sql, authorId);
}

/** Quarters of a year since year 0, in UTC. */
export function quarterOf(sql: Sql, at: Fragment): Fragment {
  return sql`(
    extract(year from ${at} at time zone 'UTC') * 4 + extract(quarter from ${at} at time zone 'UTC') - 1
  )::int`;
}

function idGram(sql: Sql, id: Fragment): Fragment {
  return sql`('x' || right(${id}::text, 8))::bit(32)::int`;
}

/** The numbers as Postgres reads an array: less work than one parameter for each. */
export function toArray(grams: readonly number[]): string {
  return `{${grams.join()}}`;
}
