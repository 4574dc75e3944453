/** The last resort: an error that nobody has caught is a bug, but no reason to hang up on everybody else. */
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** Logs and counts what nobody catches, and goes on, until it is disposed. What such an error leaves behind in the process
 * is bounded: whatever lasts is in the database, and streams compare themselves with it. */
export function surviveUncaught({ log, metrics }: { readonly log: Log; readonly metrics: Metrics }): Disposable {
  const note = (event: Event, message: string, error: unknown) => {
    event.preventDefault(); // else Deno ends the process
    metrics.uncaughtErrors.inc();
    log.error(message, { errorId: crypto.randomUUID(), error });
  };
  const onError = (event: ErrorEvent) => note(event, "Uncaught error", event.error);
  const onRejection = (event: PromiseRejectionEvent) => note(event, "Unhandled rejection", event.reason);
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    [Symbol.dispose]() {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}
