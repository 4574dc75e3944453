/** A Postgres to do harm to: a cluster of our own in a directory of our own, or one that was given and is left in peace. */
import { join } from "node:path";
import { withSql } from "../support/databases.ts";
import { freePort } from "../support/ports.ts";
import { command } from "./system.ts";

export interface Postgres extends AsyncDisposable {
  /** The empty database that the nodes share. */
  readonly url: string;
  /** `null` where the server is not ours to signal. */
  readonly control: PostgresControl | null;
}

export interface PostgresControl {
  /** Ends all processes at once, without a checkpoint, as a crash does; returns when it has recovered. */
  crash(): Promise<void>;
  /** Stops every process where it is: connections stay open, nothing answers. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** On the given server, or on one that is started for it. */
export async function openPostgres(given: string | undefined): Promise<Postgres> {
  await using stack = new AsyncDisposableStack();
  const cluster = given === undefined ? stack.use(await Cluster.start()) : null;
  const server = given ?? `postgres://postgres@127.0.0.1:${cluster?.port}/postgres`;
  const name = `parley_prove_${crypto.randomUUID().slice(0, 8)}`;
  await withSql({ url: server }, (sql) => sql.unsafe(`create database ${name}`));
  if (given !== undefined) {
    stack.defer(() =>
      withSql({ url: server }, (sql) => sql.unsafe(`drop database ${name} with (force)`)).then(() => {})
    );
  }
  await withSql({ url: server }, (sql) => sql.unsafe(`alter database ${name} set jit = off`)); // as the README advises
  const url = new URL(server);
  url.pathname = `/${name}`;
  const resources = stack.move();
  return { url: url.href, control: cluster, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

class Cluster implements PostgresControl, AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly bin: string,
    private readonly dir: string,
  ) {}

  static async start(): Promise<Cluster> {
    const dir = await Deno.makeTempDir({ prefix: "parley-postgres-" });
    const cluster = new Cluster(freePort(), await findBin(), dir);
    if (isRoot()) await command("chown", "postgres", dir); // Postgres refuses to run as root
    await cluster.#run("initdb", `-D ${cluster.#data} -U postgres --auth=trust --no-sync`);
    const settings = `-p ${cluster.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${dir}`;
    await cluster.#run("pg_ctl", `start -w -D ${cluster.#data} -l ${join(dir, "log")} -o '${settings}'`);
    return cluster;
  }

  async crash(): Promise<void> {
    await this.#run("pg_ctl", `restart -w -m immediate -D ${this.#data} -l ${join(this.dir, "log")}`);
  }

  // The postmaster first, so that it starts nothing more. Every backend leads a process group of its own.
  async freeze(): Promise<void> {
    const pid = await this.#postmaster();
    await command("kill", "-STOP", pid);
    for (const child of await childrenOf(pid)) await command("kill", "-STOP", child);
  }

  async thaw(): Promise<void> {
    const pid = await this.#postmaster();
    for (const child of await childrenOf(pid)) await command("kill", "-CONT", child);
    await command("kill", "-CONT", pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.thaw().catch(() => {}); // is down already; what is frozen would not hear that it has to stop
    await this.#run("pg_ctl", `stop -w -m immediate -D ${this.#data}`).catch(() => {}); // is down already
    await Deno.remove(this.dir, { recursive: true });
  }

  get #data(): string {
    return join(this.dir, "data");
  }

  // The data directory is readable for its owner alone.
  async #postmaster(): Promise<string> {
    const status = await this.#run("pg_ctl", `status -D ${this.#data}`);
    const [, pid] = /PID: (\d+)/.exec(status) ?? [];
    if (pid === undefined) throw new Error(`Postgres does not run: ${status}`);
    return pid;
  }

  async #run(program: string, args: string): Promise<string> {
    const line = `${join(this.bin, program)} ${args}`;
    // Output of the server itself must not keep the pipe open: `pg_ctl -l` takes it.
    return isRoot() ? await command("su", "postgres", "-s", "/bin/sh", "-c", line) : await command("sh", "-c", line);
  }
}

function isRoot(): boolean {
  return Deno.uid() === 0;
}

async function childrenOf(pid: string): Promise<string[]> {
  return (await command("ps", "-o", "pid=", "--ppid", pid)).split("\n").map((line) => line.trim()).filter(Boolean);
}

/** On the path, or where Debian keeps the programs of servers. */
async function findBin(): Promise<string> {
  const look = "dirname $(command -v pg_ctl || ls /usr/lib/postgresql/*/bin/pg_ctl | sort -V | tail -1)";
  return (await command("sh", "-c", look)).trim();
}
