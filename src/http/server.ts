/** The HTTP server: routes, health, and an orderly end. */
import type { GraphQLSchema } from "graphql";
import { checkParts, healthOf, type HealthStatus } from "../admin/status.ts";
import type { App } from "../app.ts";
import { StartError } from "../errors.ts";
import { createAddressReader } from "./addresses.ts";
import { Connections } from "./connections.ts";
import { answerFile, answerPicture } from "./files.ts";
import { createGraphQLHandler, type GraphiQLStart } from "./graphql.ts";
import { createOperations } from "./operations.ts";
import { createSockets } from "./sockets.ts";
import { answerUpload } from "./uploads.ts";

export interface RunningServer extends AsyncDisposable {
  readonly port: number;
  /** Stops accepting, sends clients away, waits for requests in flight at most `DRAIN_SECONDS`. Idempotent. */
  drain(): Promise<void>;
}

export interface ServerOptions {
  readonly schema: GraphQLSchema;
  readonly graphiqlStart: GraphiQLStart;
}

/** Paths with more behind them. */
const FOLDERS: ReadonlyMap<string, (app: App, request: Request) => Promise<Response>> = new Map([
  ["/files/", answerFile],
  ["/pictures/", answerPicture],
  ["/uploads/", answerUpload],
]);

/** Listens on `config.host` and `config.port`. Throws when the port is taken. */
export function startHttpServer(app: App, { schema, graphiqlStart }: ServerOptions): RunningServer {
  const { config } = app;
  const addressOf = createAddressReader(config.trustedProxies);
  const connections = new Connections(app);
  const operations = createOperations(app, schema);
  const sockets = createSockets(app, operations, connections);
  const graphql = createGraphQLHandler(app, { schema, operations, connections, graphiqlStart });

  const route = async (request: Request, info: Deno.ServeHandlerInfo): Promise<Response> => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/graphql": {
        const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
        const address = addressOf(request, info.remoteAddr);
        return isUpgrade ? sockets.upgrade(request, address) : await graphql(request, address);
      }
      case "/healthz":
        return Response.json({ status: "ok" });
      case "/readyz":
        return await readiness(app, connections);
      case "/metrics":
        return new Response(await app.metrics.registry.metrics(), {
          headers: { "content-type": app.metrics.registry.contentType },
        });
      case "/":
        if (config.graphiql) return new Response(null, { status: 302, headers: { location: "/graphql" } });
        return Response.json({ name: "Parley", graphql: "/graphql" });
      default: {
        const answerBelow = FOLDERS.get(pathname.slice(0, pathname.indexOf("/", 1) + 1));
        if (answerBelow) return await answerBelow(app, request);
        return Response.json({ error: `There is nothing at ${pathname}; the API is at /graphql` }, { status: 404 });
      }
    }
  };

  const server = listen(app, route);

  let drained: Promise<void> | null = null;
  const drain = () => drained ??= shutDown(app, server, connections);
  return { port: server.addr.port, drain, [Symbol.asyncDispose]: drain };
}

function listen(app: App, route: Deno.ServeHandler<Deno.NetAddr>): Deno.HttpServer<Deno.NetAddr> {
  const { host, port } = app.config;
  const onError = (error: unknown) => {
    app.log.error("Request failed", { error });
    return new Response("Internal Server Error\n", { status: 500 });
  };
  try {
    return Deno.serve({ hostname: host, port, onListen: () => {}, onError }, route);
  } catch (error) {
    const isTaken = error instanceof Deno.errors.AddrInUse;
    const state = isTaken ? "the port is taken; stop what uses it or set PORT" : `${error}; check HOST and PORT`;
    throw new StartError(`Cannot listen on ${host}:${port}: ${state}`, { cause: error });
  }
}

const READINESS = { OK: "ready", DEGRADED: "degraded", DOWN: "down" } as const satisfies Record<HealthStatus, string>;

/** 503 takes the node out of rotation: only where another one may do better, or none can do anything. */
async function readiness(app: App, connections: Connections): Promise<Response> {
  const checks = await checkParts(app);
  const health = healthOf(checks);
  const parts = Object.fromEntries(checks.map(({ name, status }) => [name, READINESS[status]]));
  const status = connections.isDraining ? "draining" : READINESS[health];
  const isReady = !connections.isDraining && health !== "DOWN";
  return Response.json({ status, parts }, { status: isReady ? 200 : 503 });
}

async function shutDown(app: App, server: Deno.HttpServer, connections: Connections): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, app.config.drainSeconds * 1000);
  await Promise.race([connections.drain(), timeout]);
  // Waits for requests in flight; for ever on a stream whose client does not read, hence the race.
  await Promise.race([server.shutdown(), timeout]);
  clearTimeout(timer);
}
