/** The one form of every mutation: `name(input: NameInput!): NamePayload`, with expected failures in `errors`. */
import type { FieldMap, InputFieldMap, InputFieldRef, InputShapeFromFields, MaybePromise } from "@pothos/core";
import { clearAllDataLoaders } from "@pothos/plugin-dataloader";
import type { Context } from "../src/context.ts";
import { type AppError, isRefusal } from "../src/errors.ts";
import { builder, type SchemaTypes } from "./builder.ts";
import { type Failure, UserError } from "./errors.ts";

type Payload<Result> = { readonly [Key in Exclude<keyof Result, "failures">]?: Result[Key] | null } & {
  readonly errors: readonly Failure[];
};

export type PayloadBuilder<Result> = PothosSchemaTypes.ObjectFieldBuilder<SchemaTypes, Payload<Result>>;
type InputBuilder = PothosSchemaTypes.InputFieldBuilder<SchemaTypes, "InputObject">;
type InputFields = Record<string, InputFieldRef<SchemaTypes, unknown>>;

interface MutationOptions<Inputs extends InputFields, Result extends object> {
  readonly description: string;
  /** Ends "Result of `name`": what is special about it. */
  readonly result?: string;
  /** Ends "Input of `name`". */
  readonly about?: string;
  /** What `errors` says, where a part of it may be done in spite of them. */
  readonly errors?: string;
  readonly input?: (t: InputBuilder) => Inputs;
  readonly fields: (t: PayloadBuilder<Result>) => FieldMap;
  /** What of the result is named `failures` goes into `errors`: why a part was not done. */
  readonly resolve: (
    input: InputShapeFromFields<Inputs>,
    ctx: Context,
  ) => MaybePromise<Result & { readonly failures?: readonly AppError[] }>;
}

export function mutation<const Inputs extends InputFields, Result extends object>(
  name: string,
  options: MutationOptions<Inputs, Result>,
): void {
  const typeName = name.charAt(0).toUpperCase() + name.slice(1);
  const payload = builder.objectRef<Payload<Result>>(`${typeName}Payload`).implement({
    description: `Result of \`${name}\`${options.result ?? ""}.`,
    fields: (t) => ({
      ...options.fields(t),
      errors: t.field({
        type: [UserError],
        description: options.errors ?? "Why nothing was done; empty on success.",
        resolve: ({ errors }) => [...errors],
      }),
    }),
  });
  const input = options.input && builder.inputType(`${typeName}Input`, {
    description: `Input of \`${name}\`${options.about ?? ""}.`,
    fields: options.input as unknown as (t: InputBuilder) => InputFieldMap,
  });
  builder.mutationField(name, (t) =>
    t.field({
      type: payload,
      nullable: true,
      description: options.description,
      args: input === undefined ? {} : { input: t.arg({ type: input, required: true, description: "What to do." }) },
      resolve: (_root, args, ctx) => {
        const { input: values = {} } = args as { input?: object };
        return settle(ctx, () => options.resolve(values as InputShapeFromFields<Inputs>, ctx)) as never; // Pothos cannot see through `Result`
      },
    }));
}

/** The result, or its expected failure as data. What is no form error (UNAUTHENTICATED, UNAVAILABLE, bugs) stays thrown. */
async function settle<Result extends { readonly failures?: readonly AppError[] }>(
  ctx: Context,
  act: () => MaybePromise<Result>,
): Promise<Payload<Result>> {
  forgetLoaded(ctx);
  try {
    const { failures = [], ...result } = await act();
    return { ...result, errors: failures.map(asData) } as unknown as Payload<Result>;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { errors: [asData(error)] } as unknown as Payload<Result>;
  }
}

/** Drops what was loaded, so that the rest of the operation is answered with rows from now on. */
export function forgetLoaded(ctx: Context): void {
  ctx.forget();
  clearAllDataLoaders(ctx);
}

// Not the error itself: graphql throws every `Error` that it meets in a result.
function asData({ code, message, details }: AppError): Failure {
  return { code, message, details };
}
