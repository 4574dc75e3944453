/** WebSocket connections: our adapter of graphql-ws (`makeServer`) for Deno, where the stock one closes every client. One
 * socket carries operations and live streams; it ends with the session, when it reads too slowly, or when the node drains.
 * Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md */
import { Buffer } from "node:buffer";
import { type ExecutionArgs, type ExecutionResult, getOperationAST } from "graphql";
import { GRAPHQL_TRANSPORT_WS_PROTOCOL, makeServer, type Server } from "graphql-ws";
import type { App } from "../app.ts";
import type { Connection } from "../auth/connections.ts";
import { watchSession } from "../auth/revocations.ts";
import { noteSessionUse } from "../auth/session_use.ts";
import type { Viewer } from "../auth/viewer.ts";
import { authenticate } from "../context.ts";
import { AppError } from "../errors.ts";
import { nodes } from "../live/nodes.ts";
import { findToken } from "./connection_params.ts";
import type { Connections } from "./connections.ts";
import { isAllowedOrigin } from "./origins.ts";
import { type LiveOperation, OperationContext, type Operations } from "./operations.ts";
import { formatErrors, reportError } from "./reports.ts";

/** Bytes of one frame from a client. */
const INBOUND_BYTES_MAX = 64 * 1024;
/** Bytes waiting to go out at which even a client that only asks and never reads is cut off. */
const OUTBOUND_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of a close reason (RFC 6455, 5.5.1: 123), less what half a character may grow to; it may quote the client. */
const REASON_BYTES_MAX = 120;
const INIT_TIMEOUT_MS = 10_000;
/** Seconds without a frame or pong after which Deno drops the connection. */
const IDLE_SECONDS = 30;

/** Why the server closes a socket. The codes of the protocol itself (4400, 4401, 4406, 4408, 4409, 4429) are graphql-ws's. */
const CLOSE = {
  unsupportedData: [1003, "Send text frames"],
  frameTooLarge: [1009, `Frames are limited to ${INBOUND_BYTES_MAX} bytes`],
  draining: [1012, "This node shuts down, reconnect"],
  unavailable: [1013, "Try again later"],
  slowConsumer: [4013, "Reads too slowly, resume with your cursor"],
  badRequest: [4400, "Invalid message received"],
  forbidden: [4403, "Forbidden"],
} as const satisfies Record<string, readonly [code: number, reason: string]>;

type CloseKind = keyof typeof CLOSE;

export interface Sockets {
  /** Answers an upgrade request: 101, or 400 and 403 for one that no GraphQL client sends, or 503 while the node drains. */
  upgrade(request: Request, ipAddress: string | null): Response;
}

export function createSockets(app: App, operations: Operations, connections: Connections): Sockets {
  const server = createProtocol(app, operations);
  return {
    upgrade(request, ipAddress) {
      const protocols = request.headers.get("sec-websocket-protocol")?.split(",").map((name) => name.trim()) ?? [];
      if (!protocols.includes(GRAPHQL_TRANSPORT_WS_PROTOCOL)) {
        return new Response(`Ask for the sub-protocol ${GRAPHQL_TRANSPORT_WS_PROTOCOL}\n`, { status: 400 });
      }
      if (!isAllowedOrigin(app, request.headers.get("origin"))) {
        return new Response("This origin is not allowed\n", { status: 403 });
      }
      // Not a socket that is closed again: a proxy in between asks the next node before the client hears of it.
      if (connections.isDraining) return new Response("This node shuts down\n", { status: 503 });
      const { socket, response } = Deno.upgradeWebSocket(request, {
        protocol: GRAPHQL_TRANSPORT_WS_PROTOCOL,
        idleTimeout: IDLE_SECONDS,
      });
      socket.onopen = () => new SocketConnection(app, socket, connections, ipAddress).run(server);
      return response;
    },
  };
}

interface Extra {
  readonly connection: SocketConnection;
}

function createProtocol(app: App, operations: Operations): Server<Extra> {
  return makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    onConnect: ({ connectionParams, extra }) => extra.connection.signIn(connectionParams),
    onSubscribe({ subscriptions, extra }, _id, { query, operationName, variables }) {
      // A throw here would close the socket, and with it every other stream on it.
      try {
        const limit = app.config.maxSubscriptionsPerConnection;
        if (Object.keys(subscriptions).length > limit) {
          throw new AppError("LIMIT_EXCEEDED", `Cannot run the operation: ${limit} run on this socket already`, {
            limit,
          });
        }
        const document = operations.parse(query);
        const errors = operations.validate(document);
        if (errors.length > 0) return errors;
        operations.select(document, operationName);
        const contextValue = extra.connection.newContext();
        return { document, operationName, variableValues: variables, contextValue } as unknown as ExecutionArgs;
      } catch (error) {
        return [reportError(app, error)];
      }
    },
    execute: (args) => operations.execute(args),
    subscribe: async (args) => await operations.subscribe(args) as ExecutionResult,
    onOperation({ extra }, id, _payload, { document, operationName }, result) {
      if (isLive(result)) return extra.connection.stream(id, result);
      // Stock clients give a refused subscription up for good, but a closed socket they open again, with back-off.
      const isSubscription = getOperationAST(document, operationName)?.operation === "subscription";
      if (isSubscription && isUnavailable(result)) extra.connection.close("unavailable");
      return undefined;
    },
    onNext: (_ctx, _id, _payload, _args, { data = null, errors }) => errors && { data, errors: formatErrors(errors) },
    onError: (_ctx, _id, _payload, errors) => formatErrors(errors),
  });
}

function isLive(result: object): result is LiveOperation {
  return "subscription" in result;
}

/** Whether an operation was not begun because a part of the server is away. */
function isUnavailable(result: object): boolean {
  const { data, errors } = result as ExecutionResult;
  return data === undefined && errors !== undefined &&
    errors.some(({ extensions }) => extensions.code === "UNAVAILABLE");
}

class SocketConnection implements Connection {
  #viewer: Viewer | null = null;
  #unwatch = () => {};
  #isClosed = false;
  /** What ends with the decision to close, and what only when the peer has gone, or a while later: one that has stopped
   * reading never answers, and must not get the next place at once. */
  readonly #cleanUp = new DisposableStack();
  readonly #places = new DisposableStack();
  readonly #gone = Promise.withResolvers<void>();
  readonly #closing = new AbortController();

  constructor(
    private readonly app: App,
    private readonly socket: WebSocket,
    private readonly connections: Connections,
    private readonly ipAddress: string | null,
  ) {}

  run(server: Server<Extra>): void {
    const { app, socket, connections } = this;
    app.metrics.sockets.inc();
    this.#places.defer(() => app.metrics.sockets.dec());
    let handle = (_text: string) => Promise.resolve();
    const closed = server.opened({
      protocol: GRAPHQL_TRANSPORT_WS_PROTOCOL, // Deno leaves `socket.protocol` empty on the server's side
      send: (text) => Promise.resolve(this.send(text)),
      close: (code = 1000, reason = "") => this.#close(code, reason),
      onMessage: (listener) => handle = listener,
    }, { connection: this });
    this.#cleanUp.defer(() => app.background(closed(1000, "")));
    socket.onclose = () => {
      this.#finish();
      this.#places.dispose();
      this.#gone.resolve();
    };
    socket.onerror = () => {}; // `onclose` follows
    socket.onmessage = ({ data }) => {
      if (this.#isClosed) return;
      if (typeof data !== "string") return this.close("unsupportedData");
      if (Buffer.byteLength(data) > INBOUND_BYTES_MAX) return this.close("frameTooLarge");
      app.background(
        handle(data).catch((error) => {
          // A message that only servers send: graphql-ws throws where for other misuse it closes.
          if (String(error).includes("Unexpected message of type")) return this.close("badRequest");
          app.log.error("Socket message failed", { error });
          this.close("unavailable");
        }),
      );
    };
    try {
      this.#places.defer(connections.open({ sendAway: () => this.#sendAway() }, this.ipAddress));
    } catch {
      this.close(connections.isDraining ? "draining" : "unavailable");
    }
  }

  /** Whether the client may go on, by the token in its `connection_init`; without one it is nobody. */
  async signIn(params: Record<string, unknown> | undefined): Promise<boolean> {
    const { viewer, refusal } = await authenticate(this.app, findToken(params));
    if (refusal) return false;
    if (this.#isClosed || viewer === null) return true;
    try {
      this.#places.defer(this.connections.claim(viewer));
    } catch {
      this.close("unavailable");
      return false;
    }
    this.#cleanUp.defer(this.app.once(nodes).arrive(viewer.userId));
    this.#cleanUp.defer(() => this.#unwatch());
    this.#belongTo(viewer);
    return true;
  }

  get viewer(): Viewer | null {
    return this.#viewer;
  }

  extend(viewer: Viewer): Viewer {
    if (this.#viewer !== null && viewer.expiresAtMs < this.#viewer.expiresAtMs) return this.#viewer;
    if (!this.#isClosed) this.#belongTo(viewer);
    return viewer;
  }

  newContext(): OperationContext {
    if (this.#viewer) noteSessionUse(this.app, this.#viewer, this.ipAddress);
    const { signal } = this.#closing;
    return new OperationContext(this.app, {
      viewer: this.#viewer,
      ipAddress: this.ipAddress,
      signal,
      connection: this,
    });
  }

  send(text: string): void {
    if (this.#isClosed || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > OUTBOUND_BYTES_MAX) return this.close("slowConsumer");
    this.socket.send(text);
  }

  close(kind: CloseKind): void {
    const [code, reason] = CLOSE[kind];
    this.#close(code, reason);
  }

  /** Batches go to the socket directly. What graphql-ws iterates over only says when the stream has ended. */
  stream(id: string, { subscription, renderer }: LiveOperation): AsyncGenerator<never> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const head = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
    const sink = {
      send: (body: string) => this.send(`${head}${body}}`),
      pendingBytes: () => this.socket.bufferedAmount,
      end: (reason: "removed" | "slow" | "unavailable") => {
        if (reason !== "removed") this.close(reason === "slow" ? "slowConsumer" : "unavailable");
        end();
      },
    };
    const done = { done: true, value: undefined } as const;
    const stop = () => {
      subscription.cancel();
      end();
      return Promise.resolve(done);
    };
    return {
      next: () => {
        subscription.start(renderer, sink);
        return ended.then(() => done);
      },
      return: stop,
      throw: stop,
      [Symbol.asyncIterator]() {
        return this;
      },
      [Symbol.asyncDispose]: async () => void await stop(),
    };
  }

  // The next watch begins before the last one ends: a session that ends in between is seen by one of them.
  #belongTo(viewer: Viewer): void {
    const unwatch = this.#unwatch;
    this.#unwatch = watchSession(this.app, viewer, () => this.close("forbidden"));
    unwatch();
    this.#viewer = viewer;
  }

  #sendAway(): Promise<void> {
    this.close("draining");
    return this.#gone.promise;
  }

  // Cleans up at once: `onclose` may never come from a peer that has stopped reading.
  #close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.app.metrics.socketCloses.inc({ code });
    this.socket.close(code, Buffer.from(reason).subarray(0, REASON_BYTES_MAX).toString());
    this.#finish();
  }

  #finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closing.abort();
    this.socket.onmessage = null;
    this.#cleanUp.dispose();
    this.connections.linger(this.#places);
  }
}
