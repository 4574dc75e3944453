/** Composition root of the server: configuration, app, schema and transport, from start to a clean end. */
import { schema } from "../schema/schema.ts";
import { type App, type AppOptions, createApp } from "./app.ts";
import { revocations } from "./auth/revocations.ts";
import { type Config, loadConfig } from "./config.ts";
import { StartError } from "./errors.ts";
import { type RunningServer, type ServerOptions, startHttpServer } from "./http/server.ts";
import { nodes } from "./live/nodes.ts";
import { keepRetention } from "./live/retention.ts";
import { keepSchedule } from "./messages/scheduler.ts";
import { surviveUncaught } from "./platform/uncaught.ts";
import { sweepInvites } from "./rooms/invites.ts";
import { sweepUploads } from "./uploads/deletions.ts";
import { keepProcessing } from "./uploads/image_jobs.ts";

/** What runs until a signal ends it. */
export interface Running extends AsyncDisposable {
  readonly app: App;
}

export interface Parley extends Running {
  readonly server: RunningServer;
}

export interface ParleyOptions extends AppOptions {
  /** Runs before the server listens, and says what it serves. (Default: the schema, and GraphiQL with an empty tab) */
  readonly prepare?: (app: App) => Promise<ServerOptions>;
}

/** Starts everything; disposing it drains and closes everything. Throws when a part cannot be opened. */
export async function startParley(
  config: Config,
  { prepare = serveSchema, database }: ParleyOptions = {},
): Promise<Parley> {
  await using stack = new AsyncDisposableStack();
  const app = stack.use(await createApp(config, { database }));
  await app.once(revocations).load();
  await app.once(nodes).start();
  app.once(keepRetention);
  app.once(keepSchedule);
  app.once(sweepInvites);
  app.once(sweepUploads);
  if (config.imageWorkers > 0) app.once(keepProcessing);
  const server = stack.use(startHttpServer(app, await prepare(app)));
  const resources = stack.move();
  return { app, server, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Ends the process over a failed start: in one sentence where its operator can mend it, else with the stack. */
export function exitWith(error: unknown): never {
  if (!(error instanceof StartError)) throw error;
  Deno.stderr.writeSync(new TextEncoder().encode(`${error.message}\n`));
  Deno.exit(1);
}

function serveSchema(): Promise<ServerOptions> {
  const graphiqlStart = () => Promise.resolve({ title: "Parley", subscriptionsProtocol: "SSE" } as const);
  return Promise.resolve({ schema, graphiqlStart });
}

/** Runs until SIGTERM or SIGINT, then drains. A second signal ends the process at once: nothing lives only in memory. */
export async function runUntilSignal(start: () => Promise<Running>): Promise<void> {
  try {
    const { promise: signal, resolve } = Promise.withResolvers<void>();
    let isStopping = false;
    const onSignal = () => {
      if (isStopping) Deno.exit(1);
      isStopping = true;
      resolve();
    };
    Deno.addSignalListener("SIGINT", onSignal);
    Deno.addSignalListener("SIGTERM", onSignal);
    using survival = new DisposableStack(); // to the very end: draining, too, must not be cut short
    const parley = await start();
    survival.use(surviveUncaught(parley.app));
    await signal;
    parley.app.log.info("Draining");
    await parley[Symbol.asyncDispose]();
    parley.app.log.info("Stopped");
  } catch (error) {
    exitWith(error);
  }
  Deno.exit(0); // a client that does not read would keep its connection, and so the process, for ever
}

if (import.meta.main) {
  await runUntilSignal(async () => {
    const parley = await startParley(loadConfig());
    parley.app.log.info("Listening", { url: parley.app.config.publicUrl, port: parley.server.port });
    return parley;
  });
}
