/** Live streams over Server-Sent Events: the pull side of the fan-out. Yoga writes the frames and pulls as the network
 * takes them; a batch that was encoded for a whole group is passed on as it is. */
import type { ExecutionResult } from "graphql";
import type { App } from "../app.ts";
import { watchSession } from "../auth/revocations.ts";
import { AppError } from "../errors.ts";
import { nodes } from "../live/nodes.ts";
import type { EndReason } from "../live/subscriptions.ts";
import type { Connections } from "./connections.ts";
import type { LiveOperation, OperationContext } from "./operations.ts";
import { reportError } from "./reports.ts";

/** Why a stream ends, as its last result; `null`: it simply completes. */
const LAST_WORDS: Readonly<Record<EndReason | "draining", AppError | null>> = {
  removed: null,
  slow: new AppError("UNAVAILABLE", "Cannot go on: you read too slowly, resume with your cursor", {
    retryAfterMs: 1000,
  }),
  draining: new AppError("UNAVAILABLE", "Cannot go on: this node shuts down, resume elsewhere", { retryAfterMs: 1000 }),
  unavailable: new AppError("UNAVAILABLE", "Cannot go on: resume with your cursor", { retryAfterMs: 1000 }),
};

/** The results of one live operation, as Yoga iterates over them. Throws UNAVAILABLE at capacity. */
export function streamEvents(
  app: App,
  connections: Connections,
  { live, context }: { readonly live: LiveOperation; readonly context: OperationContext },
): AsyncGenerator<ExecutionResult> {
  // As on a socket: a peer that has stopped reading goes on counting against the quotas for a while.
  const [cleanUp, places] = [new DisposableStack(), new DisposableStack()];
  const queue: ExecutionResult[] = [];
  let queuedBytes = 0;
  let isEnding = false;
  let wake = () => {};

  const end = (error: AppError | null) => {
    if (isEnding) return;
    isEnding = true;
    if (error !== null) queue.splice(0, queue.length, { errors: [reportError(app, error)] });
    cleanUp.dispose();
    connections.linger(places);
    wake();
  };
  const sink = {
    send(body: string) {
      queue.push(encoded(body));
      queuedBytes += body.length;
      wake();
    },
    pendingBytes: () => queuedBytes,
    end: (reason: EndReason) => end(LAST_WORDS[reason]),
  };
  cleanUp.defer(() => live.subscription.cancel());
  try {
    places.defer(
      connections.open({ sendAway: () => Promise.resolve(end(LAST_WORDS.draining)) }, context.ipAddress),
    );
    if (context.viewer) {
      places.defer(connections.claim(context.viewer));
      const sayGoodbye = (state: string) => end(new AppError("UNAUTHENTICATED", `Cannot go on: ${state}`));
      cleanUp.defer(app.once(nodes).arrive(context.viewer.userId));
      cleanUp.defer(watchSession(app, context.viewer, sayGoodbye));
    }
  } catch (error) {
    cleanUp.dispose();
    places.dispose();
    throw error;
  }

  const stop = () => {
    end(null);
    queue.length = 0;
    places.dispose();
    return Promise.resolve({ done: true, value: undefined } as const);
  };
  let isStarted = false;
  return {
    async next() {
      if (!isStarted) {
        isStarted = true;
        live.subscription.start(live.renderer, sink);
      }
      while (queue.length === 0 && !isEnding) await new Promise<void>((resolve) => wake = resolve);
      const value = queue.shift();
      if (value === undefined) return await stop();
      if (isEncoded(value)) queuedBytes -= value.stringify().length;
      return { done: false, value };
    },
    return: stop,
    throw: stop,
    [Symbol.asyncIterator]() {
      return this;
    },
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}

interface EncodedResult extends ExecutionResult {
  /** Asked by Yoga instead of `JSON.stringify`. */
  stringify(): string;
}

function encoded(body: string): EncodedResult {
  return { stringify: () => body };
}

function isEncoded(result: ExecutionResult): result is EncodedResult {
  return "stringify" in result;
}
