/** The sockets of postgres.js to a server, in our hands. By itself 3.4.9 waits without end for an answer that never comes,
 * and where a connection is accepted and closed before it is ready (a proxy without a server, a server that starts), it
 * connects again and again without a pause while the statement waits. */
import { Socket } from "node:net";

/** Where postgres.js wants to connect to. */
export interface Target {
  readonly host: readonly string[];
  readonly port: readonly number[];
}

export interface SocketListener {
  /** The connection is lost after it was in use. */
  onBreak(): void;
  onClose(): void;
}

export class DatabaseSockets {
  readonly #open = new Set<Line>();
  readonly #tenders: (() => void)[] = [];
  #connects = 0;

  /** A socket on its way to the next of the hosts; what is written waits until it is there. */
  connect({ host, port }: Target, { onBreak, onClose }: SocketListener): Socket {
    const index = this.#connects++ % host.length;
    const target = { host: host[index] ?? "localhost", port: port[index] ?? 5432 };
    const socket = new Socket();
    const line = new Line(socket, {
      onBreak,
      onClose: () => {
        this.#open.delete(line);
        onClose();
      },
    });
    this.#open.add(line);
    socket.connect(target);
    return Object.assign(socket, target); // postgres.js names them in errors, and checks certificates for the host
  }

  /** Calls `act` with every tick. */
  onTend(act: () => void): void {
    this.#tenders.push(act);
  }

  /** One tick; to be called once a second. */
  tend(): void {
    for (const act of this.#tenders) act();
  }

  /** Closes all connections: every statement that waits for an answer fails now, its outcome unknown. */
  hangUp(): void {
    for (const line of this.#open) line.hangUp();
  }
}

class Line {
  constructor(private readonly socket: Socket, private readonly on: SocketListener) {
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
    socket.once("close", () => on.onClose());
  }

  hangUp(): void {
    this.#destroy("ETIMEDOUT", "The database does not answer");
  }

  #destroy(code: string, message: string): void {
    // Below TLS nobody listens for errors of the socket: its end has to do.
    const isHeard = this.socket.listenerCount("error") > 0;
    this.socket.destroy(isHeard ? Object.assign(new Error(message), { code }) : undefined);
  }
}
