/** Connections to Redis (ioredis). Nothing waits for it for long: without Redis the server goes on. */
import { Redis, type RedisOptions } from "ioredis";
import type { Log } from "./log.ts";
import { pause, within } from "./timers.ts";

export type { Redis };

const RECONNECT_MS = 50;
const RECONNECT_MS_MAX = 1_000;

/** How long a connection may take to begin before it is closed all the same. */
const BEGIN_MS = 500;

const OPTIONS: RedisOptions = {
  connectTimeout: 2_000,
  disconnectTimeout: 0, // what is on its way may be lost
  // Nothing waits for a server that is away, and nothing is done late.
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false, // the bus knows what it wants to hear
  disableClientInfo: true,
  retryStrategy: (tries) => Math.min(RECONNECT_MS * 2 ** tries, RECONNECT_MS_MAX) * (0.5 + Math.random() / 2),
};

export interface RedisConnection extends AsyncDisposable {
  readonly client: Redis;
}

/** Connects, and connects again until it is disposed. Commands fail at once while there is no connection, and where
 * `commandMs` is given also when they are not answered in time: a frozen server answers nothing. */
export function openRedis(
  url: string,
  { name, log, commandMs }: { readonly name: string; readonly log: Log; readonly commandMs?: number },
): RedisConnection {
  const client = new Redis(url, {
    ...OPTIONS,
    connectionName: `parley:${name}`,
    ...(commandMs === undefined ? {} : { commandTimeout: commandMs }),
  });
  // Without a listener a failed try would end the process. The bus tells once what becomes of all of them.
  client.on("error", (error) => log.debug("No connection to Redis", { connection: name, state: error.message }));
  return {
    client,
    async [Symbol.asyncDispose]() {
      // Closed while it begins, a connection would end the process with what it asks first.
      const isBeginning = ["connecting", "connect"].includes(client.status);
      if (isBeginning) await within(BEGIN_MS, hear(client, "ready", "close"));
      // Between two tries there is no connection that could end, only the timer for it.
      const hasConnection = client.status !== "end" && client.status !== "reconnecting";
      const ended = hasConnection ? hear(client, "end") : pause(0);
      client.disconnect();
      await ended;
    },
  };
}

/** Resolves at the first of these events. */
function hear(client: Redis, ...events: string[]): Promise<void> {
  return new Promise((resolve) => {
    for (const event of events) client.once(event, () => resolve());
  });
}
