/** The storages for files, as a contract is checked on each. */
import { join } from "node:path";
import { openDiskFiles } from "../../src/platform/files_disk.ts";
import { openS3Files } from "../../src/platform/files_s3.ts";
import type { Files, Progress, Transfer } from "../../src/platform/files.ts";
import { S3Server } from "./s3_server.ts";

export interface Storage extends AsyncDisposable {
  /** As another process would open it: nothing is remembered. */
  open(): Files;
  /** How much is stored that is no file. */
  countLeftovers(): Promise<number>;
}

export async function storageOnDisk(): Promise<Storage & { readonly directory: string }> {
  const directory = await Deno.makeTempDir({ prefix: "parley-files-" });
  return {
    directory,
    open: () => openDiskFiles(directory),
    countLeftovers: async () => (await pathsBelow(directory)).filter((path) => path.endsWith(".part")).length,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

export async function storageInBucket(): Promise<Storage> {
  const server = await S3Server.start();
  return {
    open: () => openS3Files(server.config),
    countLeftovers: () => server.countLeftovers(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Of files, and of directories with a slash at their end. None where there is no such directory, or it has just gone. */
export async function pathsBelow(directory: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(directory)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  });
  const paths = await Promise.all(entries.map(async ({ name, isDirectory }) => {
    const path = join(directory, name);
    return isDirectory ? [`${path}/`, ...await pathsBelow(path)] : [path];
  }));
  return paths.flat();
}

/** Keeps what is safe, as a row in the database does. */
export class Notes implements Transfer {
  readonly all: Progress[] = [];

  constructor(readonly from: Progress | null = null) {}

  get last(): Progress {
    const last = this.all.at(-1);
    if (!last) throw new Error("Nothing is safe");
    return last;
  }

  /** Through JSON, as through a database. */
  onSafe(progress: Progress): Promise<void> {
    this.all.push(JSON.parse(JSON.stringify(progress)));
    return Promise.resolve();
  }
}
