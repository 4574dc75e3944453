/** Every failure that Parley expects, in one table. Anything else that is thrown is a bug: masked, and logged with an id. */

interface ErrorKind {
  /** Payload type of a mutation's `errors`; `null`: always a top-level error. */
  readonly type:
    | "InvalidInputError"
    | "NotFoundError"
    | "ForbiddenError"
    | "ConflictError"
    | "RateLimitedError"
    | null;
  /** HTTP status where the code stands for a whole request. */
  readonly status: number;
  /** What an API user reads about the code. */
  readonly description: string;
}

const invalid = (description: string): ErrorKind => ({
  type: "InvalidInputError",
  status: 400,
  description,
});
const forbidden = (description: string): ErrorKind => ({
  type: "ForbiddenError",
  status: 403,
  description,
});
const conflict = (description: string): ErrorKind => ({
  type: "ConflictError",
  status: 409,
  description,
});
const request = (status: number, description: string): ErrorKind => ({
  type: null,
  status,
  description,
});

export const ERRORS = {
  INVALID_INPUT: invalid("A field has an unacceptable value."),
  EMPTY: invalid("A required text is empty after trimming."),
  TOO_LONG: invalid("A text is too long or a list has too many items; see `limit`."),
  FILE_TOO_LARGE: { ...invalid("A file is larger than `ServerLimits.maxUploadBytes`."), status: 413 },
  QUOTA_EXCEEDED: invalid("The files of the viewer would take more than the server keeps for one user; see `limit`."),
  UNSUPPORTED_MEDIA_TYPE: invalid("The file type is not accepted or the content does not match its type."),
  WEAK_PASSWORD: invalid("The password is too weak or known to be breached."),
  INVALID_CREDENTIALS: invalid("Unknown login or wrong password (never tells which)."),
  INVALID_REFRESH_TOKEN: invalid("The refresh token is unknown, expired, revoked or was used twice; log in again."),
  ACCOUNT_SUSPENDED: forbidden("The account is suspended."),
  USERNAME_TAKEN: conflict("The username is in use."),
  EMAIL_TAKEN: conflict("The e-mail address is in use."),
  SLUG_TAKEN: conflict("The room slug is in use."),
  NOT_FOUND: {
    type: "NotFoundError",
    status: 404,
    description: "No such object, or it is not visible to the viewer.",
  },
  FORBIDDEN: forbidden("The viewer lacks the permission."),
  NOT_A_MEMBER: forbidden("The viewer is not a member of the room."),
  BANNED: forbidden("The user is banned from the room."),
  ALREADY_MEMBER: conflict("The user is already a member, or is already invited."),
  BLOCKED: forbidden("One of the users has blocked the other."),
  ROOM_FULL: conflict("The room has reached `ServerLimits.maxRoomMembers`."),
  LAST_OWNER: conflict("The last owner cannot leave or step down; transfer ownership first."),
  NOT_EDITABLE: conflict("The edit window of the message is over, or it was deleted."),
  NOT_SCHEDULABLE: conflict("The scheduled message was already sent or canceled, or the time is in the past."),
  IDEMPOTENCY_MISMATCH: conflict("The `clientMessageId` was already used with other content."),
  RATE_LIMITED: {
    type: "RateLimitedError",
    status: 429,
    description: "Too many requests of this kind; see `retryAfterMs`.",
  },
  SLOW_MODE: {
    type: "RateLimitedError",
    status: 429,
    description: "The room is in slow mode; see `retryAfterMs`.",
  },
  UNAUTHENTICATED: request(401, "No access token, or one that is expired, revoked or invalid."),
  BAD_USER_INPUT: request(400, "An argument is well-typed but not acceptable, for example a cursor or a page size."),
  LIMIT_EXCEEDED: request(400, "The operation is too large, or too many run on one socket; see `limit`."),
  UNAVAILABLE: request(503, "The server is overloaded or a part of it is away; see `retryAfterMs`."),
  INTERNAL_SERVER_ERROR: request(500, "A bug; the operators find it in the log by `requestId`."),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** Path of the offending field below `input`. */
  readonly path?: readonly string[];
  /** The limit that was exceeded (length, bytes, count). */
  readonly limit?: number;
  /** Milliseconds to wait before the next try. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The server cannot start, for a reason that its operator can mend: only the message is printed. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** An expected failure: `code` for programs, `message` ("Cannot do this: because") for people. */
export class AppError extends Error {
  override readonly name = "AppError";

  constructor(readonly code: ErrorCode, message: string, readonly details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
  }
}

/** Whether what was asked for is not acceptable, so that it stands in a payload; else the whole request has failed. */
export function isRefusal(error: unknown): error is AppError {
  return error instanceof AppError && ERRORS[error.code].type !== null;
}
