/** The same operation over HTTP and over a WebSocket: what holds for one has to hold for the other. */
import type { Answer, Person, TestApp } from "./app.ts";
import { RawSocket } from "./sockets.ts";

export interface Transport {
  readonly name: string;
  ask(app: TestApp, query: string, variables?: object, as?: Person): Promise<Answer["body"]>;
}

export const TRANSPORTS: readonly Transport[] = [
  {
    name: "HTTP",
    ask: async (app, query, variables = {}, as = undefined) => (await app.post({ query, variables }, as)).body,
  },
  {
    name: "WebSocket",
    async ask(app, query, variables = {}, as = undefined) {
      await using socket = as ? await RawSocket.signIn(app, as) : await RawSocket.connect(app);
      return await socket.ask(query, variables);
    },
  },
];

/** The codes of the errors, and the limit that each names: `[["LIMIT_EXCEEDED", 10]]`. */
export function codesOf({ errors = [] }: Answer["body"]): (readonly [code: string, limit?: number])[] {
  return errors.map(({ extensions: { code, limit } }) => limit === undefined ? [code] : [code, limit]);
}
