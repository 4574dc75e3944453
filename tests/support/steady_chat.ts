/** People who write over their sockets all the time, whatever else goes on. */
import { type Client, createClient } from "graphql-ws";
import type { Any, Api, Person, TestRoom } from "./app.ts";

const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id } errors { code } } }`;

/** People who write at a steady rate, also when answers are late. */
export class SteadyChat implements Disposable {
  #tookMs: number[] = [];
  readonly #timers: ReturnType<typeof setInterval>[];

  constructor(
    clients: readonly Client[],
    { room, everyMs }: { readonly room: TestRoom; readonly everyMs: number },
  ) {
    this.#timers = clients.map((client, index) => {
      const send = async () => {
        const startedAtMs = performance.now();
        await sendWith(client, { roomId: room.id, content: "A message of the benchmark" });
        this.#tookMs.push(performance.now() - startedAtMs);
      };
      return setInterval(send, everyMs + index); // not all in the same moment
    });
  }

  /** How long each took since the last call, in milliseconds. */
  take(): number[] {
    const taken = this.#tookMs;
    this.#tookMs = [];
    return taken;
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
  }
}

/** Stays connected while it has nothing to do. */
export function connectForLong({ socketUrl }: Api, { token }: Person): Client {
  return createClient({ url: socketUrl, retryAttempts: 0, lazyCloseTimeout: 60_000, connectionParams: { token } });
}

/** Sends a message. */
export async function sendWith(client: Client, input: object): Promise<void> {
  for await (const { data, errors } of client.iterate<Any>({ query: SEND, variables: { input } })) {
    if (errors || data.sendMessage.errors.length > 0) throw new Error(JSON.stringify({ data, errors }));
  }
}
