/** The server with two bugs that nobody catches: one thrown, one rejected, once it runs. */
import { loadConfig } from "../../src/config.ts";
import { runUntilSignal, startParley } from "../../src/main.ts";

await runUntilSignal(async () => {
  const parley = await startParley(loadConfig());
  parley.app.log.info("Listening", { port: parley.server.port });
  setTimeout(() => {
    throw new Error("a bug in a timer");
  });
  setTimeout(() => void Promise.reject(new Error("a bug in a promise")));
  return parley;
});
