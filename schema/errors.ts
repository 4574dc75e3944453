/** Errors as data: what a mutation answers when it could not do what was asked. */
import { type AppError, type ErrorCode as Code, ERRORS } from "../src/errors.ts";
import { builder, type SchemaTypes } from "./builder.ts";

type FieldBuilder = Pick<PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, Failure>, "stringList">;

/** An `AppError` as data. Not the error itself: graphql throws every `Error` that it meets in a result. */
export type Failure = Pick<AppError, "code" | "message" | "details">;

const USER_CODES = Object.entries(ERRORS).filter(([, { type }]) => type !== null);

export const ErrorCode = builder.enumType("ErrorCode", {
  description: "Codes of `UserError`. Top-level codes (`UNAUTHENTICATED`, `RATE_LIMITED`, ...) are not in this enum.",
  values: Object.fromEntries(USER_CODES.map(([code, { description }]) => [code, { value: code as Code, description }])),
});

export const UserError = builder.interfaceRef<Failure>("UserError").implement({
  description:
    "An expected, user-facing failure of a mutation. `errors { code message path }` is enough for most clients.",
  resolveType: ({ code }) => ERRORS[code].type,
  fields: (t) => ({
    code: t.field({
      type: ErrorCode,
      description:
        "Stable machine-readable code. Treat an unknown code as a generic failure: codes are added over time.",
      resolve: ({ code }) => code,
    }),
    message: t.exposeString("message", { description: "English text that may be shown to the user." }),
    path: path(t, 'Path of the offending input field below `input`, e.g. ["email"] or ["options", "0"].'),
  }),
});

function path(t: FieldBuilder, description: string) {
  return t.stringList({
    nullable: true,
    description,
    resolve: ({ details }) => details.path ? [...details.path] : null,
  });
}

interface Described {
  readonly description: string;
  readonly code?: string;
  readonly path?: string;
}

const error = (name: string, about: Described) =>
  builder.objectRef<Failure>(name).implement({
    description: about.description,
    interfaces: [UserError],
    fields: (t) => ({
      code: t.field({
        type: ErrorCode,
        description: about.code ?? "Stable machine-readable code.",
        resolve: ({ code }) => code,
      }),
      path: path(t, about.path ?? "Path of the offending input field below `input`."),
    }),
  });

error("NotFoundError", {
  description: "The object does not exist or the viewer may not know that it does.",
  path: "Path of the id below `input`.",
});
error("ForbiddenError", {
  description: "The viewer can see the object but may not do this to it.",
  path: "Path of the id below `input`.",
});
error("ConflictError", {
  description: "The state of the object does not allow this now (name taken, already a member, edit window over).",
});

const InvalidInputError = error("InvalidInputError", {
  description: "The input was well-typed but not acceptable; bind it to the form field in `path`.",
});
builder.objectField(InvalidInputError, "limit", (t) =>
  t.int({
    nullable: true,
    description: "The limit that was exceeded (length, bytes, count), if one was.",
    resolve: ({ details }) => details.limit ?? null,
  }));

const RateLimitedError = error("RateLimitedError", {
  description: "The viewer did this too often; retry after the given time.",
  code: "Always `RATE_LIMITED` or `SLOW_MODE`.",
  path: "Always `null`.",
});
builder.objectField(RateLimitedError, "retryAfterMs", (t) =>
  t.int({
    description: "Milliseconds to wait before the next try.",
    resolve: ({ details }) => details.retryAfterMs ?? 0,
  }));
