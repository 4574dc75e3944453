/** Deleting: a message stays in its place as a tombstone, without anything that people put on it. */
import type { App } from "../app.ts";
import type { Fragment } from "../platform/sql.ts";
import { indexText } from "./search_index.ts";

/** Parts of a `with` that make tombstones of the messages whose `id` the part `target` before it selects; they are locked
 * (`for no key update`) and not deleted. Returns their rows. Everything that deletes messages does it with this. */
export function buryMessages(app: App): Fragment {
  return app.sql`
    message as (
      update messages
      set content = null,
        deleted_at = now(),
        mentions_everyone = false,
        pinned_at = null,
        pinned_by_id = null
      from target
      where messages.id = target.id
      returning messages.*, drop_mentions(messages.id, '{}'), drop_reactions(messages.id)
    ), ${indexText(app, null)}`;
}
