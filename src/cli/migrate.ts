/** `deno task migrate`: brings the database up to date and says what it did. Servers do the same when they start. */
import { createApp } from "../app.ts";
import { loadConfig } from "../config.ts";
import { exitWith } from "../main.ts";

await using app = await Promise.try(() => createApp(loadConfig())).catch(exitWith);
const [{ newest }] = await app.sql<[{ newest: string }]>`select max(name) as newest from migrations`;
Deno.stdout.writeSync(new TextEncoder().encode(`The database is up to date (${newest}).\n`));
