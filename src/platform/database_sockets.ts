/** The sockets of postgres.js to a server, in our hands. By itself 3.4.9 waits without end for an answer that never comes,
 * and where a connection is accepted and closed before it is ready (a proxy without a server, a server that starts), it
 * connects again and again without a pause while the statement waits. */
import { Socket } from "node:net";

/** Calls of `tend`, one a second, after which a connection that owes an answer is dead: a firewall forgot it, its machine is
 * gone. More than the server lets any statement run; TCP itself takes 15 minutes to find out. */
const SILENT_TICKS_MAX = 15;

/** Where postgres.js wants to connect to. */
export interface Target {
  readonly host: readonly string[];
  readonly port: readonly number[];
}

export class DatabaseSockets {
  readonly #open = new Set<Line>();
  #connects = 0;

  /** A socket on its way to the next of the hosts; what is written waits until it is there. `onBreak` is called when it is lost
   * after it was in use. */
  connect({ host, port }: Target, onBreak: () => void): Socket {
    const index = this.#connects++ % host.length;
    const target = { host: host[index] ?? "localhost", port: port[index] ?? 5432 };
    const socket = new Socket();
    const line = new Line(socket, { onBreak, onClose: () => this.#open.delete(line) });
    this.#open.add(line);
    socket.connect(target);
    return Object.assign(socket, target); // postgres.js names them in errors, and checks certificates for the host
  }

  /** Closes all connections: every statement that waits for an answer fails now, its outcome unknown. */
  hangUp(): void {
    for (const line of this.#open) line.hangUp();
  }

  /** Closes the connections that have owed an answer for too long. */
  tend(): void {
    for (const line of this.#open) line.tend();
  }
}

class Line {
  #bytesAnswered = 0;
  #silentTicks = 0;

  constructor(
    private readonly socket: Socket,
    private readonly on: { readonly onBreak: () => void; readonly onClose: () => void },
  ) {
    socket.on("data", () => {
      this.#bytesAnswered = socket.bytesWritten;
      this.#silentTicks = 0;
    });
    this.#listen();
    // As an error it reaches the statement that waits for this connection; at a plain end it would go on waiting.
    socket.once("end", () => this.#destroy("ECONNRESET", "The database has closed the connection"));
    // postgres.js removes all listeners of a socket when it begins with TLS, also those that are not its own.
    socket.removeAllListeners = (...names) => {
      Socket.prototype.removeAllListeners.apply(socket, names);
      this.#listen();
      return socket;
    };
  }

  #listen(): void {
    const { socket, on } = this;
    const noteBreak = () => {
      const isOurs = socket.writableEnded; // without TLS one can tell
      if (socket.bytesRead > 0 && !isOurs) on.onBreak();
    };
    for (const end of ["end", "error", "close"]) socket.once(end, noteBreak);
    socket.once("close", on.onClose);
  }

  hangUp(): void {
    this.#destroy("ETIMEDOUT", "The database does not answer");
  }

  // Ticks, not the clock: when this process was stopped or busy, the answer may be there, only not read yet.
  tend(): void {
    const { socket } = this;
    const isPlain = socket.listenerCount("data") > 0; // below TLS nothing is known of answers
    const owesAnswer = isPlain && socket.bytesWritten > this.#bytesAnswered;
    this.#silentTicks = owesAnswer ? this.#silentTicks + 1 : 0;
    if (this.#silentTicks > SILENT_TICKS_MAX) this.hangUp();
  }

  #destroy(code: string, message: string): void {
    // Below TLS nobody listens for errors of the socket: its end has to do.
    const isHeard = this.socket.listenerCount("error") > 0;
    this.socket.destroy(isHeard ? Object.assign(new Error(message), { code }) : undefined);
  }
}
