/** `deno task role <username> <USER|ADMIN>`: gives an account a role. The first admin is made here. */
import { setAccountRole } from "../admin/accounts.ts";
import { createApp } from "../app.ts";
import { loadConfig } from "../config.ts";
import { StartError } from "../errors.ts";
import { exitWith } from "../main.ts";

await Promise.try(async () => {
  const [username = "", role] = Deno.args;
  if (role !== "USER" && role !== "ADMIN") throw new StartError("Usage: deno task role <username> <USER|ADMIN>");
  await using app = await createApp(loadConfig());
  if (!await setAccountRole(app, username, role)) throw new StartError(`Nobody has the handle ${username}`);
  Deno.stdout.writeSync(new TextEncoder().encode(`The role of ${username} is ${role} now.\n`));
}).catch(exitWith);
