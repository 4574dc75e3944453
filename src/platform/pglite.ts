/** The embedded database: Postgres compiled to WebAssembly in a thread of its own, reached over a Unix socket like any
 * other Postgres, so that there is one way to talk SQL. One connection only: with more, pglite-socket mixes up portals. */
import { join, resolve } from "node:path";
import { StartError } from "../errors.ts";

export interface EmbeddedDatabase extends AsyncDisposable {
  readonly socketPath: string;
}

/** Longest path that fits a `sockaddr_un` (108 bytes on Linux, 104 on macOS, with the closing NUL). */
const SOCKET_PATH_BYTES_MAX = 103;

/** Creates the cluster on first use (several seconds). Throws when another server has the directory open. */
export async function openEmbeddedDatabase(dataDir: string): Promise<EmbeddedDatabase> {
  const socketPath = join(dataDir, "postgres.sock");
  if (new TextEncoder().encode(socketPath).length > SOCKET_PATH_BYTES_MAX) {
    throw new StartError(
      `Cannot open the embedded database: the path ${socketPath} is too long for a socket, choose a shorter DATA_DIR`,
    );
  }
  try {
    await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartError(`Cannot open the embedded database: ${error}; check DATA_DIR`, { cause: error });
  }
  const lock = await lockDirectory(dataDir);
  try {
    await Deno.remove(socketPath).catch(() => {}); // left behind by a server that was killed
    const worker = new Worker(import.meta.resolve("./pglite_worker.ts"), { type: "module" });
    await ask(worker, { open: { databaseDir: join(dataDir, "postgres"), socketPath } });
    return {
      socketPath,
      async [Symbol.asyncDispose]() {
        await ask(worker, { close: true }).finally(() => {
          worker.terminate();
          lock.close();
        });
      },
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

// An advisory file lock dies with its process, so `kill -9` leaves nothing to clean up.
async function lockDirectory(dataDir: string): Promise<Deno.FsFile> {
  const file = await Deno.open(join(dataDir, "lock"), { create: true, write: true });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new StartError(
    `Cannot open the embedded database: another Parley server uses ${resolve(dataDir)}; stop it or set DATA_DIR`,
  );
}

export type PgliteRequest =
  | { readonly open: { readonly databaseDir: string; readonly socketPath: string } }
  | { readonly close: true };
export type PgliteReply = { readonly ok: true } | { readonly error: string };

function ask(worker: Worker, request: PgliteRequest): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = ({ data }: MessageEvent<PgliteReply>) => "ok" in data ? resolve() : reject(new Error(data.error));
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`The embedded database failed: ${event.message}`));
  };
  worker.postMessage(request);
  return promise;
}
