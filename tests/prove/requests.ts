/** Requests as a persistent client makes them: again, to the other node, until there is an answer. */
import type { Any, Person } from "../support/app.ts";
import type { Wire } from "../support/wires.ts";
import { pause } from "./system.ts";

/** A request that has no answer by then hangs. UNAVAILABLE is an answer. */
const HUNG_MS = 15_000;
const RETRY_MS = 50;
const RETRY_MS_MAX = 1_000;

/** What came of all requests of a row. */
export class Tally {
  unavailable = 0;
  /** The connection broke, or nobody listened. */
  broken = 0;
  hung = 0;
  slowestMs = 0;
  /** Answers that no client should ever see. */
  readonly refusals = new Set<string>();
}

export interface Attempt {
  /** Tried one after the other, beginning with the first. */
  readonly wires: readonly Wire[];
  readonly as: Person;
  readonly query: string;
  readonly variables: object;
}

/** Repeats the request until it is answered, and returns its data. */
export async function persist(tally: Tally, attempt: Attempt): Promise<Any> {
  for (let tries = 0;; tries++) {
    const wire = attempt.wires[tries % attempt.wires.length] as Wire;
    const startMs = performance.now();
    const answer = await ask(wire, attempt).catch((error) => {
      if (error.name === "TimeoutError") tally.hung++;
      else tally.broken++;
      return null;
    });
    tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startMs);
    if (answer?.data && !answer.errors) return answer.data;
    const code = answer?.errors?.[0]?.extensions?.code;
    if (code === "UNAVAILABLE") tally.unavailable++;
    else if (answer) tally.refusals.add(code ?? JSON.stringify(answer).slice(0, 200));
    await pause(Math.min(RETRY_MS * 2 ** Math.min(tries, 8), RETRY_MS_MAX));
  }
}

async function ask(wire: Wire, { as, query, variables }: Attempt): Promise<Any> {
  const response = await fetch(wire.url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json",
      authorization: `Bearer ${as.token}`,
    },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(HUNG_MS),
  });
  return await response.json();
}
