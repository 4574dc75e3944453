/** Any subscription over the real `graphql-ws` client, read result by result. Disposing it closes its socket. */
import type { Client } from "graphql-ws";
import type { Any, Person, TestApp } from "./app.ts";
import { connect } from "./follow.ts";

export interface SubscriptionRequest {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
  readonly operationName?: string;
}

export class Subscription implements AsyncDisposable {
  readonly #client: Client;
  readonly #results: AsyncIterableIterator<Any>;

  constructor(app: Pick<TestApp, "socketUrl">, as: Person | null, request: SubscriptionRequest) {
    this.#client = connect(app, as);
    this.#results = this.#client.iterate<Any>(request) as AsyncIterableIterator<Any>;
  }

  /** The next value of the one root field; fails when the stream has ended. */
  async next(): Promise<Any> {
    const { value, done } = await this.#results.next();
    if (done) throw new Error("The stream has ended");
    if (value.errors || !value.data) throw new Error(`The stream failed: ${JSON.stringify(value.errors)}`);
    return Object.values(value.data)[0];
  }

  /** Values until one for which `isLast` holds; that one included. */
  async until(isLast: (value: Any) => boolean): Promise<Any[]> {
    const values: Any[] = [];
    while (values.length === 0 || !isLast(values.at(-1))) values.push(await this.next());
    return values;
  }

  /** Settles when the server has completed the stream. */
  async ended(): Promise<void> {
    while (!(await this.#results.next()).done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const returned = this.#results.return?.(); // waits for a value that is asked for, which closing the socket ends
    await this.#client.dispose();
    await returned;
  }
}
