/** A server whose only way to its database is a wire, which a test can cut and stall. */
import { startApp, type TestApp } from "./app.ts";
import { createTestDatabase, terminateBackends, TEST_DATABASE_URL, withSql } from "./databases.ts";
import { Wire } from "./wires.ts";

export interface WiredApp extends TestApp {
  readonly wire: Wire;
  /** Of the database itself. */
  readonly port: number;
  /** A node on the same database that is not on the wire. */
  startNeighbour(): Promise<TestApp>;
  /** Kills every connection of servers to the database. */
  killBackends(): Promise<void>;
}

/** A test on an app behind a wire; the embedded database has none. */
export function testWired(promise: string, check: (app: WiredApp) => Promise<void>): void {
  Deno.test({
    name: promise,
    ignore: TEST_DATABASE_URL === null,
    async fn() {
      await using app = await startWired();
      await check(app);
    },
  });
}

async function startWired(): Promise<WiredApp> {
  await using stack = new AsyncDisposableStack();
  const { config } = stack.use(await createTestDatabase());
  const url = config.DATABASE_URL ?? "";
  const port = Number(new URL(url).port || 5432);
  const wire = stack.use(await Wire.to(port));
  const app = stack.use(await startApp({ ...config, DATABASE_URL: wire.rewrite(url) }));
  const resources = stack.move();
  return {
    ...app,
    wire,
    port,
    startNeighbour: () => startApp({ ...config }),
    killBackends: async () => void await withSql({ url }, terminateBackends),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
