/** What an app adds to the stock `graphql-ws` client so that it never misses an event. */
import type { Client } from "graphql-ws";

/** Remembers the cursor of the last batch of every subscription, so that a retry goes on behind it. The document has to
 * declare `$after` and select `cursor`. */
export function resuming(client: Client): Client {
  return {
    ...client,
    subscribe(payload, sink) {
      const variables = { ...payload.variables };
      return client.subscribe<Record<string, { cursor?: string } | null>>({ ...payload, variables }, {
        next(result) {
          const [batch] = Object.values(result.data ?? {});
          if (batch?.cursor) variables.after = batch.cursor;
          sink.next(result as never);
        },
        error: (error) => sink.error(error),
        complete: () => sink.complete(),
      });
    },
  };
}
