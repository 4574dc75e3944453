/** The nginx of `docker-compose.yml`, run on this machine: only addresses and places of files are others. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type Api, apiAt } from "./app.ts";
import { readDeployment } from "./deployments.ts";
import { eventually } from "./eventually.ts";
import { freePort, isListening } from "./ports.ts";

const PLACES = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"].map((folder) => join(folder, "nginx"));
const binary = (await Promise.all(PLACES.map((path) => Deno.stat(path).then(() => path, () => null)))).find(Boolean);

export const isNginxInstalled = binary !== undefined;

export class Nginx implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #printed: Promise<string>;

  private constructor(readonly port: number, readonly api: Api, private readonly folder: string) {
    const args = ["-p", folder, "-c", "nginx.conf", "-g", "daemon off;"];
    this.#child = new Deno.Command(binary ?? "nginx", { args, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
    this.#printed = new Response(this.#child.stderr).text();
  }

  /** Starts it in front of the nodes at these ports, as many as it is configured for. Resolves when it listens. */
  static async before(ports: readonly number[]): Promise<Nginx> {
    const folder = await Deno.makeTempDir({ prefix: "parley-nginx-" });
    await Deno.chmod(folder, 0o755); // started by root, its workers are nobody
    const port = freePort();
    await Deno.writeTextFile(join(folder, "nginx.conf"), await localConfig({ ports, port, folder }));
    const nginx = new Nginx(port, apiAt(port), folder);
    let isOver = false;
    void nginx.#child.status.then(() => isOver = true);
    await eventually("nginx listens", async () => isOver || await isListening(port));
    if (!isOver) return nginx;
    await Deno.remove(folder, { recursive: true });
    throw new Error(`nginx ended: ${await nginx.#printed}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await Promise.all([this.#child.status, this.#printed]);
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function localConfig(
  { ports, port, folder }: { readonly ports: readonly number[]; readonly port: number; readonly folder: string },
): Promise<string> {
  const { nginxConfig, addresses } = await readDeployment();
  const nodes = Object.entries(addresses).filter(([name]) => name !== "nginx").map(([, address]) => address);
  assert.equal(nodes.length, ports.length);
  const changes: (readonly [from: string, to: string])[] = [
    [" /tmp/", ` ${folder}/`],
    ["listen 8080 ", `listen 127.0.0.1:${port} `],
    ["/dev/stdout", join(folder, "access.log")],
    ["/dev/stderr", join(folder, "error.log")],
    ...nodes.map((address, index) => [`${address}:4000`, `127.0.0.1:${ports[index]}`] as const),
  ];
  return changes.reduce((config, [from, to]) => {
    assert.ok(config.includes(from), `the configuration of nginx has no ${from}`);
    return config.replaceAll(from, to);
  }, nginxConfig);
}
