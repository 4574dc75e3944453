/** How errors look to clients: expected ones as they are, everything else masked and logged under an id. */
import { type ExecutionResult, GraphQLError, type GraphQLFormattedError } from "graphql";
import type { App } from "../app.ts";
import { AppError, type ErrorCode, ERRORS } from "../errors.ts";
import { isAway, isUndone } from "../platform/sql.ts";

/** Milliseconds after which a client may try again while the database is away. */
const AWAY_RETRY_MS = 1000;

/** What may have become of an operation whose answer was lost: nothing, if it only reads. */
export type Outcome = "none" | "unknown";

/** The answer while the database is away. */
export function databaseAway(outcome: Outcome): AppError {
  const message = outcome === "none"
    ? "Cannot answer now: the database is away"
    : "Cannot answer now: the database went away meanwhile, and what was asked for may or may not have been done; " +
      "a message is safe to send again with the same `clientMessageId`";
  return new AppError("UNAVAILABLE", message, { retryAfterMs: AWAY_RETRY_MS });
}

/** The error as a client may see it, with `extensions.code`. Bugs become INTERNAL_SERVER_ERROR with a `requestId`. */
export function reportError(app: App, error: unknown, outcome: Outcome = "none"): GraphQLError {
  const cause = rootCause(error);
  if (error instanceof GraphQLError && error === cause && typeof error.extensions.code === "string") return error;
  const at = error instanceof GraphQLError
    ? {
      nodes: error.nodes ?? null,
      path: error.path ?? null,
      source: error.source ?? null,
      positions: error.positions ?? null,
    }
    : {};
  if (cause instanceof GraphQLError && isRequestFault(error)) {
    return new GraphQLError(cause.message, { ...at, extensions: codeOf(cause) });
  }
  if (cause instanceof AppError) {
    return new GraphQLError(cause.message, { ...at, extensions: extensionsOf(cause) });
  }
  if (isAway(cause)) {
    app.log.warn("The database is away", { error: cause });
    const answer = databaseAway(isUndone(cause) ? "none" : outcome);
    return new GraphQLError(answer.message, { ...at, extensions: extensionsOf(answer) });
  }
  const requestId = crypto.randomUUID();
  app.metrics.internalErrors.inc();
  app.log.error("Unexpected error", { requestId, path: at.path, error: cause });
  const extensions = { ...withCode("INTERNAL_SERVER_ERROR"), requestId };
  return new GraphQLError("Cannot answer: something went wrong on the server", { ...at, extensions });
}

/** `outcome` of an error that leaves it open. */
export function reportResult(app: App, result: ExecutionResult, outcome: Outcome = "none"): ExecutionResult {
  return result.errors === undefined
    ? result
    : { ...result, errors: result.errors.map((error) => reportError(app, error, outcome)) };
}

/** Errors as they go over a socket or a stream: without what is only meant for HTTP. */
export function formatErrors(errors: readonly (GraphQLError | GraphQLFormattedError)[]): GraphQLFormattedError[] {
  return errors.map((error) => {
    const { extensions: { http: _, ...extensions } = {}, ...rest } = error instanceof GraphQLError
      ? error.toJSON()
      : error;
    return { ...rest, extensions };
  });
}

/** Whether graphql found the fault in the document or its variables: it points there before there is a path. What it
 * could not encode of a result has only the path. */
function isRequestFault(error: unknown): boolean {
  if (!(error instanceof GraphQLError)) return false;
  return (error.path === undefined && error.nodes !== undefined) || isRequestFault(error.originalError ?? error.cause);
}

/** What was thrown in the first place, below the wrappers of graphql. */
export function rootCause(error: unknown): unknown {
  const cause = error instanceof GraphQLError ? error.originalError ?? error.cause : undefined;
  return cause === undefined ? error : rootCause(cause);
}

function extensionsOf({ code, details: { limit, retryAfterMs, path } }: AppError): Record<string, unknown> {
  return { ...withCode(code), ...defined({ limit, retryAfterMs, inputPath: path }) };
}

function withCode(code: ErrorCode): Record<string, unknown> {
  // `spec`: a client that accepts only `application/json` gets 200, as GraphQL over HTTP asks for.
  return { code, http: { status: ERRORS[code].status, spec: true } };
}

function codeOf({ extensions }: GraphQLError): Record<string, unknown> {
  return typeof extensions.code === "string" ? { ...extensions } : withCode("BAD_USER_INPUT");
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
