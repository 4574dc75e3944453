/** From text to result, the same on every transport: parse, validate, refuse what is too large, execute, report. */
import {
  createSourceEventStream,
  type DocumentNode,
  executeSubscriptionEvent,
  type ExecutionArgs,
  type ExecutionResult,
  getOperationAST,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  mapSourceToResponseEvent,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  type ValidatedExecutionArgs,
  type ValidatedSubscriptionArgs,
  validateExecutionArgs,
  validateSubscriptionArgs,
  type ValidationRule,
} from "graphql";
import { createComplexityRule } from "@pothos/plugin-complexity";
import { createLRUCache } from "graphql-yoga";
import type { App } from "../app.ts";
import type { Connection } from "../auth/connections.ts";
import type { Viewer } from "../auth/viewer.ts";
import { ViewerContext } from "../context.ts";
import type { AppError } from "../errors.ts";
import { LiveSubscription } from "../live/subscriptions.ts";
import { executeOperation, readAgain, unlessStalled } from "./executions.ts";
import { OperationRenderer } from "./live_renderer.ts";
import { reportError, reportResult } from "./reports.ts";

const TOKENS_MAX = 2_000;
const ALIASES_MAX = 30;
/** Introspection is exempt: what is below `__schema` and `__type` does not count. */
const DEPTH_MAX = 10;
/** Fields of the largest possible answer, lists counted by their page size. The largest screen of a chat client, 50
 * messages with all they show, costs below 4,000. */
const COMPLEXITY_MAX = 20_000;
/** Documents that are kept parsed, and the longest of them; apps have a few dozen. */
const DOCUMENTS_MAX = 500;
const DOCUMENT_CHARACTERS_MAX = 16_384;

/** Context of one operation. It knows why its token was refused: most operations are not executed then. */
export class OperationContext extends ViewerContext {
  readonly refusal: AppError | null;
  override readonly connection: Connection | null;

  constructor(
    app: App,
    from: {
      readonly viewer: Viewer | null;
      readonly ipAddress: string | null;
      readonly signal: AbortSignal;
      readonly refusal?: AppError | null;
      readonly connection?: Connection;
    },
  ) {
    super(app, from.viewer, from.ipAddress, from.signal);
    this.refusal = from.refusal ?? null;
    this.connection = from.connection ?? null;
  }
}

/** A running subscription: the transport starts it with a sink. */
export interface LiveOperation {
  readonly subscription: LiveSubscription<unknown, OperationRenderer>;
  readonly renderer: OperationRenderer;
}

export type Subscribed = LiveOperation | AsyncGenerator<ExecutionResult> | ExecutionResult;

export interface Operations {
  /** Throws a `GraphQLError` for a syntax error or more than 2,000 tokens. */
  parse(text: string): DocumentNode;
  /** Throws a `GraphQLError` where the name fits none of the operations, or is missing and there are several. */
  select(document: DocumentNode, operationName: string | null | undefined): void;
  validate(document: DocumentNode): readonly GraphQLError[];
  execute(args: ExecutionArgs): Promise<ExecutionResult>;
  subscribe(args: ExecutionArgs): Promise<Subscribed>;
}

export function createOperations(app: App, schema: GraphQLSchema): Operations {
  const documents = createLRUCache<DocumentNode>({ max: DOCUMENTS_MAX });
  const findings = new WeakMap<DocumentNode, readonly GraphQLError[]>();
  // Where the schema is private, "did you mean" must not tell it piece by piece.
  const hideSuggestions = !app.config.introspection;
  const rules = [...specifiedRules, aliasLimit, ...(app.config.introspection ? [] : [NoSchemaIntrospectionCustomRule])];

  return {
    parse(text) {
      const known = documents.get(text);
      if (known) return known;
      const document = parseWithin(TOKENS_MAX, text);
      if (text.length <= DOCUMENT_CHARACTERS_MAX) documents.set(text, document);
      return document;
    },
    select(document, operationName) {
      if (getOperationAST(document, operationName)) return;
      const extensions = { code: "OPERATION_RESOLUTION_FAILURE", http: { status: 400, spec: true } };
      throw new GraphQLError("Cannot run the operation: `operationName` does not say which one", { extensions });
    },
    validate(document) {
      const known = findings.get(document);
      if (known) return known;
      const errors = validate(schema, document, rules, { hideSuggestions }).map((error) =>
        withCode(error, "GRAPHQL_VALIDATION_FAILED")
      );
      findings.set(document, errors);
      return errors;
    },
    async execute(args) {
      const validated = validateExecutionArgs({ ...args, schema, hideSuggestions });
      const errors = "schema" in validated ? refuse(schema, args) : validated;
      if (errors.length > 0) return reportErrors(errors);
      return await executeOperation(app, validated as ValidatedExecutionArgs);
    },
    async subscribe(args) {
      const validated = validateSubscriptionArgs({ ...args, schema, hideSuggestions });
      const errors = "schema" in validated ? refuse(schema, args) : validated;
      if (errors.length > 0) return reportErrors(errors);
      const act = () => open(validated as ValidatedSubscriptionArgs);
      return await unlessStalled<Subscribed>(app, act, { outcome: "none", discard: close });
    },
  };

  function reportErrors(errors: readonly unknown[]): ExecutionResult {
    return { errors: errors.map((error) => reportError(app, error)) };
  }

  async function open(args: ValidatedSubscriptionArgs): Promise<Subscribed> {
    const source = await readAgain(() => createSourceEventStream(args));
    if (!(Symbol.asyncIterator in source)) return reportResult(app, source);
    if (source instanceof LiveSubscription) return { subscription: source, renderer: new OperationRenderer(app, args) };
    return mapSourceToResponseEvent(
      args,
      source,
      async (event) => reportResult(app, await executeSubscriptionEvent(event)),
    );
  }
}

/** Ends what nobody has started. */
async function close(subscribed: Subscribed): Promise<void> {
  if ("subscription" in subscribed) subscribed.subscription.cancel();
  if (Symbol.asyncIterator in subscribed) await subscribed.return(undefined);
}

/** Public operations that work with a bad token, because they are how one gets a good one. */
const SIGN_IN_FIELDS = new Set(["login", "register", "refreshSession", "logout", "__typename"]);

/** Why this operation is not executed at all: a refused token, or its size with these variables. */
function refuse(
  schema: GraphQLSchema,
  { document, operationName, contextValue, variableValues }: ExecutionArgs,
): readonly unknown[] {
  const context = contextValue as OperationContext;
  const { refusal } = context;
  if (refusal !== null && !isSignIn(document, operationName)) return [refusal];
  const sizeLimit = createComplexityRule({
    context,
    variableValues: variableValues ?? {},
    operationName: operationName ?? null,
    validate({ depth, complexity }, report) {
      if (depth > DEPTH_MAX) report(tooLarge(`it is ${depth} levels deep`, DEPTH_MAX));
      if (complexity > COMPLEXITY_MAX) report(tooLarge(`its answer could have ${complexity} fields`, COMPLEXITY_MAX));
    },
  });
  return validate(schema, document, [sizeLimit]);
}

function isSignIn(document: DocumentNode, operationName: string | null | undefined): boolean {
  const operation = getOperationAST(document, operationName);
  return operation?.operation === "mutation" &&
    operation.selectionSet.selections.every((field) =>
      field.kind === Kind.FIELD && SIGN_IN_FIELDS.has(field.name.value)
    );
}

function parseWithin(tokensMax: number, text: string): DocumentNode {
  try {
    return parse(text, { maxTokens: tokensMax });
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    if (/more than \d+ tokens/.test(error.message)) throw tooLarge("it has too many tokens", tokensMax);
    throw withCode(error, "GRAPHQL_PARSE_FAILED");
  }
}

function withCode(error: GraphQLError, code: string): GraphQLError {
  if (error.extensions.code !== undefined) return error;
  const { message, nodes = null, source = null, positions = null } = error;
  return new GraphQLError(message, {
    nodes,
    source,
    positions,
    extensions: { code, http: { status: 400, spec: true } },
  });
}

function tooLarge(state: string, limit: number): GraphQLError {
  const extensions = { code: "LIMIT_EXCEEDED", limit, http: { status: 400, spec: true } };
  return new GraphQLError(`Cannot run the operation: ${state}, the limit is ${limit}`, { extensions });
}

const aliasLimit: ValidationRule = (context) => {
  let aliases = 0;
  return {
    Field: ({ alias }) => {
      if (alias && ++aliases === ALIASES_MAX + 1) context.reportError(tooLarge("it has too many aliases", ALIASES_MAX));
    },
  };
};
