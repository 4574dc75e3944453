/** Composition root of a worker: does the jobs of the servers, where these start no image workers themselves
 * (`IMAGE_WORKERS=0`), from start to a clean end. */
import { createApp } from "../src/app.ts";
import { type Config, loadConfig } from "../src/config.ts";
import { StartError } from "../src/errors.ts";
import { type Running, runUntilSignal } from "../src/main.ts";
import { keepProcessing } from "../src/uploads/image_jobs.ts";

if (import.meta.main) await runUntilSignal(() => startWorker(loadConfig()));

async function startWorker(config: Config): Promise<Running> {
  if (config.databaseUrl === null) {
    throw new StartError(
      "Cannot start a worker: the embedded database belongs to one server, which has its own; set DATABASE_URL",
    );
  }
  const app = await createApp(config);
  app.once(keepProcessing);
  app.log.info("Working", { images: Math.max(1, config.imageWorkers) });
  return { app, [Symbol.asyncDispose]: () => app[Symbol.asyncDispose]() };
}
