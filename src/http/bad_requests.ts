/** Why a request is refused before there is an operation in it. */
import { GraphQLError } from "graphql";

/** The request can't be read: HTTP 400. */
export function badRequest(state: string): GraphQLError {
  const extensions = { code: "BAD_REQUEST", http: { status: 400, spec: true } };
  return new GraphQLError(`Cannot read the request: ${state}`, { extensions });
}

/** More than the server reads: HTTP 413. The connection carries no other request; Deno reads what the client still sends, and
 * throws it away (200 MB in 0.2 s, with flat memory). */
export function requestTooLarge(
  state: string,
  limit: number,
  code: "REQUEST_ENTITY_TOO_LARGE" | "FILE_TOO_LARGE" = "REQUEST_ENTITY_TOO_LARGE",
): GraphQLError {
  const extensions = { code, limit, http: { status: 413, headers: { connection: "close" } } };
  return new GraphQLError(`Cannot read the request: ${state}, the limit is ${limit} bytes`, { extensions });
}

/** The client has stopped in the middle of its request: HTTP 408. */
export function requestTimeout(): GraphQLError {
  const extensions = { code: "BAD_REQUEST", http: { status: 408, headers: { connection: "close" } } };
  return new GraphQLError("Cannot read the request: nothing more has come of it", { extensions });
}
