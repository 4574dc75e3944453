/** Executing while the database comes and goes: no operation hangs, readers don't notice a moment's absence, and writers are
 * told when nobody knows what became of their change. */
import { executeRootSelectionSet, type ExecutionResult, type ValidatedExecutionArgs } from "graphql";
import type { App } from "../app.ts";
import { ViewerContext } from "../context.ts";
import { DatabaseStalled } from "../platform/database_watch.ts";
import { isAway, retryAway } from "../platform/sql.ts";
import { databaseAway, type Outcome, reportError, reportResult, rootCause } from "./reports.ts";

/** The result as clients see it; UNAVAILABLE at once when the database does not answer. */
export async function executeOperation(app: App, args: ValidatedExecutionArgs): Promise<ExecutionResult> {
  const isMutation = args.operation.operation === "mutation";
  const execute = async () => await (isMutation ? executeRootSelectionSet(args) : executeQuery(app, args));
  const outcome = isMutation ? "unknown" : "none";
  return await unlessStalled(app, async () => reportResult(app, await execute(), outcome), { outcome });
}

export interface Overtaken<T> {
  readonly outcome: Outcome;
  /** Takes what `act` returned too late. (Default: nothing is done about it) */
  readonly discard?: (late: T) => unknown;
}

/** What `act` returns, or UNAVAILABLE when the database does not answer. */
export async function unlessStalled<T>(
  app: App,
  act: () => Promise<T>,
  { outcome, discard = () => {} }: Overtaken<T>,
): Promise<T | ExecutionResult> {
  let begun: Promise<T> | null = null;
  try {
    return await app.database.unlessStalled(() => begun = act());
  } catch (error) {
    if (!(error instanceof DatabaseStalled)) throw error;
    if (begun === null) return { errors: [reportError(app, databaseAway("none"))] };
    app.background((begun as Promise<T>).then(discard, () => {})); // a failure that nobody waits for any more
    return { errors: [reportError(app, databaseAway(outcome))] };
  }
}

/** Reads again, up to twice, where the database was away for a moment; then it is what could be read. */
export async function readAgain<T extends object>(read: () => T | Promise<T>): Promise<T> {
  let result: T | null = null;
  const run = async () => {
    result = await read();
    const away = "errors" in result ? (result as ExecutionResult).errors?.map(rootCause).find(isAway) : undefined;
    if (away) throw away;
    return result;
  };
  return await retryAway(run).catch((error) => {
    if (result === null || !isAway(error)) throw error;
    return result;
  });
}

function executeQuery(app: App, args: ValidatedExecutionArgs): Promise<ExecutionResult> {
  const { viewer, ipAddress, signal } = args.contextValue as ViewerContext;
  let contextValue = args.contextValue;
  return readAgain(() => {
    const again = { ...args, contextValue };
    contextValue = new ViewerContext(app, viewer, ipAddress, signal); // loaders remember what they could not load
    return executeRootSelectionSet(again);
  });
}
