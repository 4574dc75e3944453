/** What the server counts, for tests that hold it to its figures. */
import type { TestApp } from "./app.ts";

/** Selection sets executed for live batches so far. */
export function countExecutions({ app: { metrics } }: TestApp): Promise<number> {
  return valueOf(metrics.liveExecutions);
}

/** SQL statements sent so far. */
export function countStatements({ app: { metrics } }: TestApp): Promise<number> {
  return valueOf(metrics.sqlStatements);
}

/** Reads of the room log so far. */
export function countLogReads({ app: { metrics } }: TestApp): Promise<number> {
  return valueOf(metrics.logReads);
}

/** Polls that wait now. */
export function countWaitingPolls({ app: { metrics } }: TestApp): Promise<number> {
  return valueOf(metrics.waitingPolls);
}

/** Live subscriptions that are open now. */
export function countFollowers({ app: { metrics } }: TestApp): Promise<number> {
  return valueOf(metrics.followers);
}

/** Sockets that count as open now. */
export function countSockets({ app: { metrics } }: TestApp): Promise<number> {
  return valueOf(metrics.sockets);
}

async function valueOf(metric: { get(): Promise<{ readonly values: readonly { readonly value: number }[] }> }) {
  return (await metric.get()).values[0]?.value ?? 0;
}
