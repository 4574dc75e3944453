/** `deno task dev`: the whole server on the embedded database, with people and rooms to try it on. */
import { schema } from "../../schema/schema.ts";
import type { App } from "../app.ts";
import { loadConfig } from "../config.ts";
import { type Parley, runUntilSignal, startParley } from "../main.ts";
import { DEMO_PASSWORD, seedDemo } from "./demo.ts";
import { demoTabs } from "./graphiql.ts";

await runUntilSignal(async () => {
  const parley = await startParley(loadConfig(), {
    prepare: async (app: App) => {
      await seedDemo(app);
      return { schema, graphiqlStart: await demoTabs(app) };
    },
  });
  Deno.stdout.writeSync(new TextEncoder().encode(banner(parley)));
  return parley;
});

function banner({ app: { config }, server }: Parley): string {
  const url = config.port === 0 ? `http://localhost:${server.port}` : config.publicUrl;
  const query =
    `mutation { login(input: { login: "alice", password: "${DEMO_PASSWORD}" }) { tokens { accessToken } errors { message } } }`;
  return `
  Parley is ready.

  GraphiQL     ${url}/graphql        signed in as alice; choose a tab and press the run button
  API          ${url}/graphql        POST, Server-Sent Events, WebSocket (graphql-transport-ws)
  Health       ${url}/readyz
  Demo logins  alice, bob            password: ${DEMO_PASSWORD}
  Data         ${config.databaseUrl === null ? config.dataDir : "DATABASE_URL"}

  curl -s ${url}/graphql -H 'content-type: application/json' -d '${JSON.stringify({ query })}'

  Stop with Ctrl-C.

`;
}
