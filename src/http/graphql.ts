/** GraphQL over HTTP: Yoga speaks the protocol (POST, GET, SSE, GraphiQL), the operations are those of every transport. */
import type { ExecutionArgs, GraphQLSchema } from "graphql";
import { createYoga, type GraphiQLOptions, isAsyncIterable, type Plugin } from "graphql-yoga";
import type { App } from "../app.ts";
import { noteSessionUse } from "../auth/session_use.ts";
import { authenticate } from "../context.ts";
import { badRequest } from "./bad_requests.ts";
import type { Connections } from "./connections.ts";
import { streamEvents } from "./event_streams.ts";
import { isMultipart } from "./multipart.ts";
import { OperationContext, type Operations } from "./operations.ts";
import { isAllowedOrigin } from "./origins.ts";
import { reportError } from "./reports.ts";
import { RequestFiles } from "./request_files.ts";

/** Bytes of one JSON request. */
const BODY_BYTES_MAX = 256 * 1024;

/** What GraphiQL shows first. Asked for each page, because it may carry a fresh token. */
export type GraphiQLStart = () => Promise<GraphiQLOptions>;

interface ServerContext {
  readonly operation: OperationContext;
  /** Of a request that may carry some. */
  readonly files: RequestFiles | null;
}

export interface GraphQLParts {
  readonly schema: GraphQLSchema;
  readonly operations: Operations;
  readonly connections: Connections;
  readonly graphiqlStart: GraphiQLStart;
}

export type GraphQLHandler = (request: Request, ipAddress: string | null) => Promise<Response>;

export function createGraphQLHandler(app: App, parts: GraphQLParts): GraphQLHandler {
  const { schema, graphiqlStart } = parts;
  const yoga = createYoga<ServerContext>({
    schema,
    plugins: [pipeline(app, parts)],
    parserAndValidationCache: false, // the pipeline has its own: limits depend on the variables
    maskedErrors: { maskError: (error) => reportError(app, error) },
    maxRequestBodySize: BODY_BYTES_MAX,
    multipart: false, // ours streams: see `onRequestParse`
    batching: false,
    cors: (request) =>
      isAllowedOrigin(app, request.headers.get("origin")) &&
      { origin: [...app.config.allowedOrigins], credentials: false, methods: ["GET", "POST", "OPTIONS"] },
    graphiql: app.config.graphiql && graphiqlStart,
    renderGraphiQL: renderPage,
    landingPage: false,
    logging: false,
    fetchAPI: {
      Request,
      Response,
      Headers,
      ReadableStream,
      TransformStream,
      TextEncoder,
      TextDecoder,
      URL,
      URLSearchParams,
    },
  });
  return async (request, ipAddress) => {
    const { viewer, refusal } = await authenticate(app, request.headers.get("authorization"));
    if (viewer) noteSessionUse(app, viewer, ipAddress);
    const { signal } = request;
    const operation = new OperationContext(app, { viewer, ipAddress, signal, refusal });
    const files = isMultipart(request) ? new RequestFiles(app, request) : null;
    try {
      return await yoga.fetch(files?.head ?? request, { operation, files });
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error;
      return answerNobody();
    } finally {
      files?.end();
    }
  };
}

/** For a client that has gone: nobody reads it. */
function answerNobody(): Response {
  return new Response(null, { status: 499 });
}

// Its tabs are left shifted by an animation that never ends: the first click moved the tab away from under the mouse.
const STILL_TABS = "<style>.graphiql-tabs > li { transform: none !important; }</style>";

async function renderPage(options?: GraphiQLOptions): Promise<string> {
  const { renderGraphiQL } = await import("@graphql-yoga/render-graphiql"); // 9 MB, so only loaded when somebody looks
  return renderGraphiQL(options).replace("</head>", `${STILL_TABS}</head>`);
}

function pipeline(app: App, { operations, connections }: GraphQLParts): Plugin<ServerContext, ServerContext> {
  const own = (args: ExecutionArgs): ExecutionArgs & { contextValue: OperationContext } => ({
    ...args,
    contextValue: (args.contextValue as ServerContext).operation,
  });
  return {
    onRequestParse({ request, url, serverContext: { operation, files }, setRequestParser }) {
      if (request.method === "GET") requireJson(url.searchParams.get("variables"));
      if (files !== null) setRequestParser(() => files.read(operation));
    },
    onParse: ({ setParseFn }) =>
      setParseFn((source) => operations.parse(typeof source === "string" ? source : source.body)),
    onValidate: ({ setValidationFn }) => setValidationFn((_schema, document) => operations.validate(document)),
    onExecute: ({ setExecuteFn }) => setExecuteFn((args) => operations.execute(own(args))),
    onSubscribe: ({ setSubscribeFn }) =>
      setSubscribeFn(async (args) => {
        const { contextValue, ...rest } = own(args);
        const result = await operations.subscribe({ ...rest, contextValue });
        return "subscription" in result
          ? streamEvents(app, connections, { live: result, context: contextValue })
          : result;
      }),
    // Yoga answers 406 to a client that does not accept event streams, and forgets the answer to one that has gone
    // meanwhile: both times it leaves the stream open, and in the second case a timer of its own.
    onResultProcess: async ({ request, result, resultProcessor, setResultProcessor }) => {
      const { aborted } = request.signal;
      if (aborted) setResultProcessor(answerNobody, "*/*");
      if ((aborted || resultProcessor === undefined) && isAsyncIterable(result)) {
        await result[Symbol.asyncIterator]().return?.();
      }
    },
  };
}

/** Yoga parses `?variables=` without catching. Throws BAD_REQUEST. */
function requireJson(text: string | null): void {
  try {
    JSON.parse(text || "null");
  } catch {
    throw badRequest("`variables` is not JSON");
  }
}
