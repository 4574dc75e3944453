/** `deno task seed`: puts the demo people and rooms into the configured database, once. */
import { createApp } from "../app.ts";
import { loadConfig } from "../config.ts";
import { DEMO_PASSWORD, seedDemo } from "./demo.ts";

await using app = await createApp(loadConfig());
await seedDemo(app);
Deno.stdout.writeSync(new TextEncoder().encode(`Demo logins: alice, bob (password: ${DEMO_PASSWORD})\n`));
