/** Finding people by the beginning of their handle or name. */
import type { App } from "../app.ts";
import type { Connection, Page } from "../lib/pages.ts";
import { parsePeopleQuery } from "../lib/texts.ts";
import { type Keyset, readPage } from "../platform/keyset.ts";
import { escapeLike } from "../platform/sql.ts";
import { type User, userColumns } from "../users/users.ts";
import type { Member } from "./members.ts";

type Found = User & { readonly rank: number };

const FOUND: Omit<Keyset<Found>, "rows"> = {
  name: "searchUsers",
  key: [["rank", "int"], ["username", "text"]],
  keyOf: ({ rank, username }) => [rank, username],
};

/** People whose handle or name begins so, those who are called exactly so first, then by handle; with a `member`, people of
 * that room only. Nobody for an empty text. Throws BAD_USER_INPUT. */
export async function searchUsers(
  app: App,
  { query, member, page }: { readonly query: string; readonly member: Member | null; readonly page: Page },
): Promise<Connection<User>> {
  const { sql } = app;
  const wanted = parsePeopleQuery(query).toLowerCase();
  const prefix = `${escapeLike(wanted)}%`;
  const rows = sql`
    select ${userColumns(app)},
      case when username = ${wanted} or lower(display_name) = ${wanted} then 0 else 1 end as rank
    from users
    where ${wanted !== ""}
      and deleted_at is null
      and (username like ${prefix} or lower(display_name) like ${prefix})
      and ${
    member === null ? sql`true` : sql`exists (
        select
        from members
        where members.room_id = ${member.roomId}
          and members.user_id = users.id
      )`
  }`;
  return await readPage<Found>(sql, { ...FOUND, rows }, page);
}
