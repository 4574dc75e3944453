/** `deno task bench`: what one server does on this machine. The server runs in a process of its own; its CPU time is the
 * figure to compare, seconds are not: the clients share the machine. TEST_DATABASE_URL measures on Postgres. */
import { createClient } from "graphql-ws";
import { type Any, type Api, type Person, type TestRoom } from "./support/app.ts";
import { createTestDatabase, TEST_DATABASE_URL } from "./support/databases.ts";
import { ServerProcess } from "./support/processes.ts";

const MESSAGES = 4_000;
const SENDERS = 50;
const SUBSCRIBERS = 500;
const SOCKETS = 25;
const FANOUT_MESSAGES = 300;

const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id } errors { code } } }`;
const FOLLOW = `subscription ($roomId: ID!) {
  roomEvents(roomId: $roomId) { cursor events { cursor ... on MessageSentEvent { message { id content author { displayName } } } } }
}`;
const FOLLOW_WITH_SLOTS = FOLLOW.replace("content", "content clientMessageId viewerCanEdit viewerCanDelete");

print(`Database: ${TEST_DATABASE_URL === null ? "embedded" : "Postgres"}`);
await using database = await createTestDatabase();
const started = performance.now();
await using server = new ServerProcess({ ...database.config, MAX_CONNECTIONS_PER_USER: "10000" });
const api = await server.api();
print(`Start-up on a migrated database: ${Math.round(performance.now() - started)} ms`);

const people: Person[] = [];
while (people.length < SENDERS) people.push(await api.signUp()); // one by one: only so many passwords are hashed at once
const [owner, ...others] = people as [Person, ...Person[]];
await measureSends("one room", [await api.makeRoom(owner, ...others)]);
await measureSends("50 rooms", await Promise.all(people.map(() => api.makeRoom(owner, ...others))));
await measureFanout("without viewer fields", FOLLOW);
await measureFanout("with viewer slots", FOLLOW_WITH_SLOTS);

async function measureSends(name: string, rooms: readonly TestRoom[]): Promise<void> {
  const clients = people.map((person) => connect(api, person));
  await Promise.all(clients.map((client) => ask(client, "{ __typename }")));
  let sent = 0;
  const before = await usage();
  await Promise.all(clients.map(async (client, index) => {
    const roomId = rooms[index % rooms.length]?.id;
    while (sent < MESSAGES) {
      sent++;
      await ask(client, SEND, { input: { roomId, content: `Message ${sent} of the benchmark` } });
    }
  }));
  report(`sendMessage, ${name}, ${SENDERS} senders`, sent, before, await usage());
  await Promise.all(clients.map((client) => client.dispose()));
}

async function measureFanout(name: string, query: string): Promise<void> {
  const room = await api.makeRoom(owner, ...others);
  const clients = Array.from({ length: SOCKETS }, (_, index) => connect(api, people[index % people.length] as Person));
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  let [streams, received] = [0, 0];
  for (let index = 0; index < SUBSCRIBERS; index++) {
    clients[index % SOCKETS]?.subscribe<Any>({ query, variables: { roomId: room.id } }, {
      next({ data }) {
        if (data.roomEvents.events.length === 0 && ++streams === SUBSCRIBERS) ready.resolve();
        received += data.roomEvents.events.length;
        if (received === SUBSCRIBERS * FANOUT_MESSAGES) resolve();
      },
      error: ready.reject,
      complete: () => {},
    });
  }
  await ready.promise;
  const sender = connect(api, owner);
  const [before, counted] = [await usage(), await counters()];
  for (let index = 0; index < FANOUT_MESSAGES; index++) {
    await ask(sender, SEND, { input: { roomId: room.id, content: `Message ${index}` } });
  }
  await done;
  const [after, now] = [await usage(), await counters()];
  report(`deliveries, ${name}, ${SUBSCRIBERS} subscribers`, received, before, after);
  const perEvent = (counter: string) => ((now(counter) - counted(counter)) / FANOUT_MESSAGES).toFixed(2);
  print(
    `  executions per event ${perEvent("parley_live_executions_total")}, encodings per event ${
      perEvent("parley_live_encodings_total")
    }, statements per event ${perEvent("parley_sql_statements_total")}`,
  );
  await Promise.all([sender, ...clients].map((client) => client.dispose()));
}

function connect({ socketUrl }: Api, { token }: Person) {
  return createClient({ url: socketUrl, retryAttempts: 0, lazyCloseTimeout: 60_000, connectionParams: { token } });
}

async function ask(client: ReturnType<typeof connect>, query: string, variables: Any = {}): Promise<void> {
  for await (const { data, errors } of client.iterate<Any>({ query, variables })) {
    if (errors || data.sendMessage?.errors.length > 0) throw new Error(JSON.stringify({ data, errors }));
  }
}

interface Usage {
  readonly atMs: number;
  /** CPU time of the server, all threads. */
  readonly cpuMs: number;
}

async function usage(): Promise<Usage> {
  return { atMs: performance.now(), cpuMs: (await counters())("process_cpu_seconds_total") * 1000 };
}

async function counters(): Promise<(name: string) => number> {
  const text = await (await fetch(api.url.replace("/graphql", "/metrics"))).text();
  return (name) => Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1]);
}

function report(name: string, count: number, before: Usage, after: Usage): void {
  const perSecond = Math.round(count / (after.atMs - before.atMs) * 1000);
  const cpuMicroseconds = Math.round((after.cpuMs - before.cpuMs) / count * 1000);
  print(`${name}: ${perSecond}/s, ${cpuMicroseconds} µs of server CPU each`);
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
