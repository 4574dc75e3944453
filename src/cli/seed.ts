/** `deno task seed`: puts the demo people and rooms into the configured database, once. */
import { createApp } from "../app.ts";
import { loadConfig } from "../config.ts";
import { exitWith } from "../main.ts";
import { DEMO_PASSWORD, seedDemo } from "./demo.ts";

await using app = await Promise.try(() => createApp(loadConfig())).catch(exitWith);
await seedDemo(app);
Deno.stdout.writeSync(new TextEncoder().encode(`Demo logins: alice, bob (password: ${DEMO_PASSWORD})\n`));
