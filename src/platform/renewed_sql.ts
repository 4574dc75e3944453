/** A pool of postgres.js that is replaced as soon as one of its connections breaks. 3.4.9 would use that connection again with
 * what was left in it: rows that were half read shift those of the next statement (an empty answer where there is one), bytes
 * that were not sent yet precede the next session's, and the server's last words become the first answer.
 *
 * Statements on the other connections of the pool fail with it, as if the server had closed them all. */
import type { Socket } from "node:net";
import type { DatabaseSockets, Target } from "./database_sockets.ts";

/** What is used of a pool here. */
export interface Pool {
  readonly options: object;
  end(options?: { timeout?: number }): Promise<void>;
}

/** A pool that passes on everything to the newest of those that `open` makes. Ending it ends them all. */
export function renewed<P extends Pool>(
  open: (connect: (target: Target) => Socket, before: P | null) => P,
  sockets: DatabaseSockets,
): P {
  const endings = new Set<Promise<void>>();
  let current = begin(null);

  function begin(before: P | null): P {
    const own = new Set<Socket>();
    let isOver = false;
    const retire = () => {
      if (isOver) return;
      isOver = true;
      current = begin(pool);
      const ending = pool.end({ timeout: 0 }).finally(() => {
        for (const socket of own) socket.destroy(); // one that was on its way would stay open, unused
        endings.delete(ending);
      });
      endings.add(ending);
    };
    const pool = open((target) => {
      if (isOver) throw Object.assign(new Error("The connection has ended"), { code: "CONNECTION_ENDED" });
      const socket = sockets.connect(target, retire);
      own.add(socket);
      socket.once("close", () => own.delete(socket));
      return socket;
    }, before);
    return pool;
  }

  const end: Pool["end"] = async (options) => {
    await Promise.all([current.end(options), ...endings]);
    sockets.hangUp(); // a peer that has stopped reading never closes its side
  };
  return new Proxy(current, {
    apply: (_target, _this, args) => Reflect.apply(current as unknown as (...args: unknown[]) => unknown, null, args),
    get: (_target, name) => name === "end" ? end : Reflect.get(current, name),
  });
}
