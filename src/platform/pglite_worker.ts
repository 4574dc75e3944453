/** The thread of the embedded database: its statements never hold up the server's event loop. */
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import type { PgliteReply, PgliteRequest } from "./pglite.ts";

declare const self: DedicatedWorkerGlobalScope;
declare class DedicatedWorkerGlobalScope extends EventTarget {
  onmessage: ((event: MessageEvent<PgliteRequest>) => void) | null;
  postMessage(reply: PgliteReply): void;
}

let close = async () => {};

self.onmessage = async ({ data }) => {
  try {
    if ("open" in data) close = await open(data.open.databaseDir, data.open.socketPath);
    else await close();
    self.postMessage({ ok: true });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};

async function open(databaseDir: string, socketPath: string): Promise<() => Promise<void>> {
  const db = await PGlite.create(databaseDir);
  const server = new PGLiteSocketServer({ db, path: socketPath });
  await server.start();
  return async () => {
    await server.stop();
    await db.close();
  };
}
