/** A pool of postgres.js that is replaced as soon as one of its connections breaks. 3.4.9 would use that connection again with
 * what was left in it: rows that were half read shift those of the next statement (an empty answer where there is one), bytes
 * that were not sent yet precede the next session's, and the server's last words become the first answer.
 *
 * Statements on the other connections of the pool fail with it, as if the server had closed them all. */
import type { Socket } from "node:net";
import type { DatabaseSockets, Target } from "./database_sockets.ts";

/** Calls of `tend`, one a second, after which a statement that a connection works on will never be answered: a firewall forgot
 * the connection, its machine is gone. More than the server lets any statement run; TCP itself takes 15 minutes to find out.
 * Ticks, not the clock: when this process was stopped or busy, the answer may be there, only not read yet. */
const SILENT_TICKS_MAX = 15;

/** What is used of a pool here. */
export interface Pool {
  readonly options: object;
  end(options?: { timeout?: number }): Promise<void>;
}

/** What is used of a statement: `handle` sends it, when somebody awaits it; a fragment is never sent. */
interface Statement extends Promise<unknown> {
  /** Whether a connection works on it. */
  readonly active: boolean;
  handle(): Promise<void>;
  reject(error: Error): void;
}

interface Generation<P> {
  readonly pool: P;
  /** Statements that were sent and not answered, and for how many ticks a connection has worked on each. */
  readonly waiting: Map<Statement, number>;
  retire(): void;
}

/** A pool that passes on everything to the newest of those that `open` makes. Ending it ends them all. */
export function renewed<P extends Pool>(
  open: (connect: (target: Target) => Socket, before: P | null) => P,
  sockets: DatabaseSockets,
): P {
  const endings = new Set<Promise<void>>();
  let current = begin(null);

  function begin(before: P | null): Generation<P> {
    const own = new Set<Socket>();
    const waiting = new Map<Statement, number>();
    let isOver = false;
    const retire = () => {
      if (isOver) return;
      isOver = true;
      current = begin(pool);
      const ending = pool.end({ timeout: 0 }).finally(() => {
        for (const socket of own) socket.destroy(); // one that was on its way would stay open, unused
        // Where no connection was busy, postgres.js ends before it looks at what waits for one.
        for (const statement of waiting.keys()) statement.reject(hasEnded());
        endings.delete(ending);
      });
      endings.add(ending);
    };
    const pool = open((target) => {
      if (isOver) throw hasEnded();
      const socket = sockets.connect(target, { onBreak: retire, onClose: () => own.delete(socket) });
      own.add(socket);
      return socket;
    }, before);
    return { pool, waiting, retire };
  }

  sockets.onTend(() => {
    const { waiting, retire } = current;
    for (const [statement, ticks] of waiting) {
      if (!statement.active) continue;
      if (ticks >= SILENT_TICKS_MAX) return retire();
      waiting.set(statement, ticks + 1);
    }
  });

  const end: Pool["end"] = async (options) => {
    await Promise.all([current.pool.end(options), ...endings]);
    sockets.hangUp(); // a peer that has stopped reading never closes its side
  };
  return new Proxy(current.pool, {
    apply(_target, _this, args) {
      const { pool, waiting } = current;
      const made = Reflect.apply(pool as unknown as (...args: unknown[]) => unknown, null, args);
      if (isStatement(made)) watch(made, waiting);
      return made;
    },
    get: (_target, name) => name === "end" ? end : Reflect.get(current.pool, name),
  });
}

function isStatement(made: unknown): made is Statement {
  return made instanceof Promise && "handle" in made;
}

/** Keeps the statement among those that wait, from when it is sent until it is answered. */
function watch(statement: Statement, waiting: Map<Statement, number>): void {
  const { handle } = statement;
  statement.handle = () => {
    if (!waiting.has(statement)) {
      waiting.set(statement, 0);
      const forget = () => void waiting.delete(statement);
      Promise.prototype.then.call(statement, forget, forget); // its own `then` would send it once more
    }
    return handle.call(statement);
  };
}

function hasEnded(): Error {
  return Object.assign(new Error("The connection has ended"), { code: "CONNECTION_ENDED" });
}
