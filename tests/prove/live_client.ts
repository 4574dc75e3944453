/** A small client of `graphql-transport-ws` with one subscription: cheap enough for thousands. It comes back by itself,
 * with jittered back-off, to whichever node takes it, and never gives up unless it is told to. */
import type { Any } from "../support/app.ts";
import type { Wire } from "../support/wires.ts";

/** A server that does not acknowledge within this time is left alone for a while. */
const CONNECT_MS_MAX = 10_000;
const RETRY_MS = 100;
const RETRY_MS_MAX = 2_000;
/** Codes after which stock clients ask the user to sign in again, or give up. */
const FINAL_CODES = [4400, 4401, 4403, 4406, 4409, 4429];

export interface LiveClientOptions {
  /** Tried one after the other, beginning with the first. */
  readonly wires: readonly Wire[];
  readonly token: string;
  readonly random: () => number;
  /** Asked before each start. */
  readonly operation: () => { readonly query: string; readonly variables: object };
  /** Called with the value of the root field. */
  readonly onNext: (value: Any) => void;
}

export interface Close {
  readonly code: number;
  readonly atMs: number;
}

export class LiveClient implements Disposable {
  readonly closes: Close[] = [];
  /** Times at which a connection was acknowledged. */
  readonly connectedAtMs: number[] = [];
  /** When and why it was over for good, by the server's word. */
  ended: { readonly why: string; readonly atMs: number } | null = null;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #wire = 0;
  #isDisposed = false;

  constructor(private readonly options: LiveClientOptions) {
    this.#connect();
  }

  /** Leaves as a reloaded tab does, and comes back after a while to the same node. */
  reload({ afterMs }: { readonly afterMs: number }): void {
    this.#leave();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), afterMs);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    this.#leave();
  }

  #leave(): void {
    const socket = this.#socket;
    this.#socket = null; // whatever it still says is not heard
    socket?.close();
  }

  #connect(): void {
    const wire = this.options.wires[this.#wire % this.options.wires.length];
    if (this.#isDisposed || wire === undefined) return;
    const socket = new WebSocket(wire.socketUrl, "graphql-transport-ws");
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(socket, 0), CONNECT_MS_MAX);
    socket.onopen = () => this.#say(socket, { type: "connection_init", payload: { token: this.options.token } });
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(socket, JSON.parse(data));
    socket.onerror = () => {}; // `onclose` follows
    socket.onclose = ({ code }) => this.#lost(socket, code);
  }

  #hear(socket: WebSocket, frame: Any): void {
    switch (frame.type) {
      case "connection_ack":
        clearTimeout(this.#timer);
        this.connectedAtMs.push(performance.now());
        return this.#say(socket, { id: "1", type: "subscribe", payload: this.options.operation() });
      case "ping":
        return this.#say(socket, { type: "pong" });
      case "next":
        this.#tries = 0;
        if (frame.payload.errors) return this.#end(`errors: ${JSON.stringify(frame.payload.errors)}`);
        return this.options.onNext(Object.values(frame.payload.data)[0]);
      case "error":
        if (frame.payload[0]?.extensions?.code === "UNAVAILABLE") return socket.close();
        return this.#end(`refused: ${JSON.stringify(frame.payload)}`);
      case "complete":
        return this.#end("complete");
    }
  }

  #lost(socket: WebSocket, code: number): void {
    if (socket !== this.#socket || this.#isDisposed) return;
    clearTimeout(this.#timer);
    this.#leave();
    this.closes.push({ code, atMs: performance.now() });
    if (FINAL_CODES.includes(code)) return this.#end(`closed with ${code}`);
    this.#wire++;
    const waitMs = Math.min(RETRY_MS * 2 ** this.#tries++, RETRY_MS_MAX) * (0.5 + this.options.random());
    this.#timer = setTimeout(() => this.#connect(), waitMs);
  }

  #end(why: string): void {
    this.ended ??= { why, atMs: performance.now() };
    this[Symbol.dispose]();
  }

  #say(socket: WebSocket, frame: object): void {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }
}
