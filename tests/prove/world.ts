/** Everything that a row may break: two nodes behind wires, their Postgres and their Redis. After each row it is whole again. */
import { type App, createApp } from "../../src/app.ts";
import { testConfig } from "../support/app.ts";
import { seededRandom } from "../support/random.ts";
import type { Wire } from "../support/wires.ts";
import { type Backend, PARLEY } from "./backends.ts";
import { Node } from "./nodes.ts";
import { openPostgres, type Postgres } from "./postgres_server.ts";
import { openRedis, type RedisServer } from "./redis_server.ts";
import { becomes } from "./system.ts";

export interface WorldOptions {
  readonly seed: number;
  /** Servers to use and leave in peace. (Default: own ones) */
  readonly databaseUrl?: string | undefined;
  readonly redisUrl?: string | undefined;
  /** What runs on the nodes. (Default: Parley) */
  readonly backend?: Backend;
}

const JWT_SECRET = "a secret for proofs, 32 bytes or more";

/** Time for a node to be ready again, once nothing is broken any more. */
const READY_MS = 30_000;

export class World implements AsyncDisposable {
  private constructor(
    readonly backend: Backend,
    /** Chance, the same in every run with the same seed; what the machine does meanwhile is not. */
    readonly random: () => number,
    readonly postgres: Postgres,
    readonly redis: RedisServer,
    /** Begins every channel and key of the nodes in Redis. */
    readonly redisPrefix: string,
    /** The database as the harness sees it, and the key that signs tokens; it serves nothing. */
    readonly app: App,
    readonly nodes: readonly [Node, Node],
    private readonly resources: AsyncDisposable,
  ) {}

  static async open({ seed, databaseUrl, redisUrl, backend = PARLEY }: WorldOptions): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await openPostgres(databaseUrl));
    const redis = stack.use(await openRedis(redisUrl));
    const dataDir = stack.adopt(
      await Deno.makeTempDir({ prefix: "parley-prove-" }),
      (dir) => Deno.remove(dir, { recursive: true }),
    );
    const redisPrefix = `prove-${crypto.randomUUID().slice(0, 8)}`;
    const shared = {
      DATABASE_URL: postgres.url,
      DATA_DIR: dataDir,
      JWT_SECRET,
      ACCESS_TOKEN_TTL_SECONDS: "7200",
    };
    const app = stack.use(await createApp(testConfig(shared)));
    const env = {
      ...shared,
      REDIS_URL: redis.url,
      REDIS_PREFIX: redisPrefix,
      RATE_LIMITS: "off",
      MAX_CONNECTIONS_PER_USER: "10000",
      MAX_CONNECTIONS_PER_ADDRESS: "100000",
      DRAIN_SECONDS: "10",
    };
    await backend.prepare(app);
    const start = async (name: string) => stack.use(await Node.start(name, env, backend.main));
    const nodes = [await start("A"), await start("B")] as const;
    return new World(backend, seededRandom(seed), postgres, redis, redisPrefix, app, nodes, stack.move());
  }

  /** Both wires, this node's first. */
  wiresFrom(node: Node): readonly Wire[] {
    const [a, b] = this.nodes;
    return node === a ? [a.wire, b.wire] : [b.wire, a.wire];
  }

  /** Brings everything back up, and waits until both nodes are ready. Fails when one does not get ready. */
  async heal(): Promise<void> {
    await this.redis.control?.start();
    this.redis.control?.thaw();
    for (const node of this.nodes) {
      await node.heal();
      const isBack = await becomes(() => isReady(node), { withinMs: READY_MS });
      if (!isBack) throw new Error(`node ${node.name} is not ready again`);
    }
  }

  /** Processes that ended though nobody had told them to, since this was asked last. */
  takeUnexpectedEnds(): string[] {
    return this.nodes.flatMap(({ unexpectedEnds }) => unexpectedEnds.splice(0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources[Symbol.asyncDispose]();
  }
}

/** The hold on a server that a row harms: such a row runs only where the server is ours. */
export function own<Control>({ control }: { readonly control: Control | null }): Control {
  if (control === null) throw new Error("This server is not ours to harm");
  return control;
}

async function isReady({ wire }: Node): Promise<boolean> {
  return await fetch(wire.url.replace("/graphql", "/readyz"), { signal: AbortSignal.timeout(2_000) })
    .then(async (response) => (await response.body?.cancel(), response.ok), () => false);
}
