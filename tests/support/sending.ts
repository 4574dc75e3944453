/** Sending as a client does that got no answer: again, with the same id, until there is one. */
import { strict as assert } from "node:assert";
import type { Api, Person } from "./app.ts";

export const SEND = `mutation ($input: SendMessageInput!) {
  sendMessage(input: $input) { message { id } errors { code } }
}`;

export interface Persistence {
  /** Whom to ask, with every try. */
  readonly api: () => Api;
  readonly as: Person;
  /** Whether a request may fail so; any other failure is the test's. */
  readonly mayFail: (error: unknown) => boolean;
}

/** Sends one message until it is acknowledged, and returns its id. Fails on any answer but UNAVAILABLE meanwhile. */
export async function sendUntilAcknowledged(
  { api, as, mayFail }: Persistence,
  message: { readonly roomId: string; readonly content: string },
): Promise<string> {
  const input = { ...message, clientMessageId: crypto.randomUUID() };
  while (true) {
    const answer = await api().post({ query: SEND, variables: { input } }, as).catch((error) => {
      if (!mayFail(error)) throw error;
    });
    const sent = answer?.body.data?.sendMessage;
    if (sent) assert.deepEqual(sent.errors, []);
    if (sent) return sent.message.id;
    if (answer) assert.equal(answer.body.errors?.[0].extensions.code, "UNAVAILABLE");
  }
}
