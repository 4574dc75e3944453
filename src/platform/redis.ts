/** Connections to Redis (ioredis). Nothing waits for it for long: without Redis the server goes on. */
import { once } from "node:events";
import { Redis, type RedisOptions } from "ioredis";
import type { Log } from "./log.ts";

export type { Redis };

const RECONNECT_MS = 50;
const RECONNECT_MS_MAX = 1_000;

const OPTIONS: RedisOptions = {
  connectTimeout: 2_000,
  disconnectTimeout: 0, // what is on its way may be lost
  // Nothing waits for a server that is away, and nothing is done late.
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false, // the bus knows what it wants to hear
  // Whether it answers, the bus finds out; asked while a connection is being closed, it ends the process.
  enableReadyCheck: false,
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
      // Between two tries there is no connection that could end, only the timer for it.
      const hasConnection = client.status !== "end" && client.status !== "reconnecting";
      const ended = hasConnection ? once(client, "end") : new Promise((resolve) => setTimeout(resolve));
      client.disconnect();
      await ended;
    },
  };
}
