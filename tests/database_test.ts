/** Promises while the database is away for a moment, for a while, or answers nothing at all. */
import { strict as assert } from "node:assert";
import { DatabaseSockets } from "../src/platform/database_sockets.ts";
import { isAway, openSql } from "../src/platform/sql.ts";
import type { Answer, Any, Person, TestApp, TestRoom } from "./support/app.ts";
import { countWaitingPolls } from "./support/counters.ts";
import { TEST_DATABASE_URL, withSql } from "./support/databases.ts";
import { encryptTo } from "./support/encrypted_wires.ts";
import { eventually } from "./support/eventually.ts";
import { RoomFollower, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { SEND } from "./support/sending.ts";
import { RawSocket } from "./support/sockets.ts";
import { testWired, type WiredApp } from "./support/wired_databases.ts";

const ROUNDS = 20;
const PEOPLE = 5;
const READ = `query ($id: ID!) {
  room(id: $id) { eventCursor memberCount messages(last: 20) { nodes { content author { displayName } } } }
}`;

testWired("readers don't notice that the database connections are killed, again and again", async (app) => {
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  await app.send(alice, room, "there");
  const answers = Array<number>(PEOPLE).fill(0);
  let isOver = false;
  const reading = answers.map(async (_, reader) => {
    while (!isOver) {
      const { room: { messages } } = await app.run(READ, { id: room.id }, alice);
      assert.equal(messages.nodes[0].content, "there");
      answers[reader] = (answers[reader] ?? 0) + 1;
    }
  });
  await Promise.race([killInRounds(app, answers).finally(() => isOver = true), Promise.all(reading)]);
  await Promise.all(reading);
});

testWired(
  "what is sent while connections are killed is stored once, though nobody knows what became of a try",
  async (app) => {
    const people = await Promise.all(Array.from({ length: PEOPLE }, () => app.signUp()));
    const [owner, ...others] = people;
    assert.ok(owner);
    const room = await app.makeRoom(owner, ...others);
    await using follower = new RoomFollower(app, owner, room, room.cursor);
    await follower.next();
    const acknowledged: string[] = [];
    const answers = Array<number>(PEOPLE).fill(0);
    let isOver = false;
    const sending = people.map(async (person, sender) => {
      while (!isOver) {
        acknowledged.push(await sendUntilAcknowledged(app, person, room));
        answers[sender] = (answers[sender] ?? 0) + 1;
      }
    });
    await Promise.race([killInRounds(app, answers).finally(() => isOver = true), Promise.all(sending)]);
    await Promise.all(sending);
    const events = await follower.take(acknowledged.length);
    assertGapless(events, seqOf(room) + 1, seqOf(room) + acknowledged.length);
    assert.deepEqual(events.map(({ message }) => message.id).sort(), acknowledged.sort());
  },
);

testWired("arrays are still read and written as arrays after the connections were killed", async (app) => {
  const { sql } = app.app;
  const ids = [crypto.randomUUID(), crypto.randomUUID()];
  const read = async () => (await sql<{ ids: string[] }[]>`select ${ids}::uuid[] as ids`)[0]?.ids;
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await read(), ids);
    await app.killBackends();
    await eventually("a new connection", () => read().then(() => true, () => false));
  }
  assert.deepEqual(await read(), ids);
});

testWired(
  "a connection that a firewall has forgotten is given up, and the statement with it",
  async ({ wire, settings }) => {
    const sockets = new DatabaseSockets();
    const sql = openSql({ url: settings.DATABASE_URL ?? "" }, { onStatement: () => {}, sockets, poolSize: 1 });
    await sql`select 1`;
    wire.stall();
    let refusal: unknown = null;
    const asking = sql`select 1`.catch((error) => refusal = error);
    await eventually("the end of the wait", () => {
      sockets.tend();
      return refusal !== null;
    });
    await asking;
    assert.ok(isAway(refusal), String(refusal));
    wire.flow();
    assert.equal((await sql`select 1`).length, 1);
    await sql.end();
  },
);

const OUTAGES: Record<string, { go(app: WiredApp): void; comeBack(app: WiredApp): void }> = {
  "swallows everything": { go: ({ wire }) => wire.stall(), comeBack: ({ wire }) => wire.flow() },
  "refuses every connection": { go: ({ wire }) => wire.refuse(), comeBack: ({ wire }) => wire.accept() },
  "hangs up on everybody, like a proxy without a server": {
    go({ wire }) {
      wire.target = 1;
      wire.cut();
    },
    comeBack: ({ wire, port }) => wire.target = port,
  },
};

for (const [what, { go, comeBack }] of Object.entries(OUTAGES)) {
  testWired(
    `a database that ${what}: all is answered UNAVAILABLE, and goes on without a gap afterwards`,
    async (app) => {
      const alice = await app.signUp();
      const room = await app.makeRoom(alice);
      await using neighbour = await app.startNeighbour();
      await using follower = new RoomFollower(app, alice, room, room.cursor);
      await follower.next();
      await using socket = await RawSocket.signIn(app, alice);
      const poll = `query ($id: ID!) { room(id: $id) { events(after: "${room.cursor}", waitSeconds: 25) { cursor } } }`;
      const waiting = app.post({ query: poll, variables: { id: room.id } }, alice);
      await eventually("the poll waits", async () => await countWaitingPolls(app) === 1);

      go(app);
      const input = { roomId: room.id, content: "lost", clientMessageId: "lost" };
      const ask = () =>
        Promise.all([
          app.post({ query: READ, variables: { id: room.id } }, alice),
          app.post({ query: SEND, variables: { input } }, alice),
          app.post({ query: SEND, variables: { input: { ...input, clientMessageId: undefined } } }, alice),
          socket.ask(READ, { id: room.id }).then((body) => ({ status: 503, body })),
        ]);
      for (const answer of [...await ask(), await waiting]) assertUnavailable(answer);
      await eventually("the server knows", () => app.app.database.isStalled);
      for (const answer of await ask()) assertUnavailable(answer);
      assert.deepEqual(await readiness(app), [503, "down", "down"]);
      await neighbour.send(alice, room, "meanwhile");

      comeBack(app);
      await eventually("the database is back", () => !app.app.database.isStalled);
      assert.deepEqual(await readiness(app), [200, "ready", "ready"]);
      await app.run(SEND, { input: { ...input, content: "after", clientMessageId: "after" } }, alice);
      const events: Any[] = [];
      const hasCome = (content: string) => events.some(({ message }) => message.content === content);
      while (!hasCome("after") || !hasCome("meanwhile")) events.push(...(await follower.next()).events);
      assertGapless(events, seqOf(room) + 1, seqOf(room) + events.length);
    },
  );
}

Deno.test({
  name: "after a connection with TLS has broken, every answer is that of its own question",
  ignore: TEST_DATABASE_URL === null,
  async fn() {
    const url = new URL(TEST_DATABASE_URL ?? "");
    await using wire = await encryptTo(Number(url.port || "5432"));
    url.port = String(wire.port);
    url.search = "?sslmode=require&sslnegotiation=direct";
    const sql = openSql({ url: url.href }, { onStatement: () => {}, poolSize: 1 });
    try {
      for (let round = 0; round < ROUNDS; round++) {
        await assert.rejects(sql`select pg_terminate_backend(pg_backend_pid())`.execute(), isAway);
        for (const question of ["one", "two"]) {
          const answer = await sql`select ${question} as answer`.catch((error) => {
            if (!isAway(error)) throw error;
          });
          if (answer) assert.deepEqual([...answer], [{ answer: question }]);
        }
      }
    } finally {
      await sql.end({ timeout: 5 });
    }
  },
});

testWired("a pause of our own is not taken for a database that does not answer", async (app) => {
  await app.app.sql`select 1`;
  const endMs = performance.now() + 4_000;
  while (performance.now() < endMs);
  assert.ok(await app.app.database.check() !== null);
  assert.equal((await app.app.metrics.databaseStalls.get()).values[0]?.value, 0);
});

testWired("who waits too long for a lock is told to try again, and then succeeds", async (app) => {
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  const url = new URL(TEST_DATABASE_URL ?? "");
  const [{ name }] = await app.app.sql<[{ name: string }]>`select current_database() as name`;
  url.pathname = `/${name}`;
  await withSql({ url: url.href }, async (sql) => {
    await sql.unsafe("begin");
    await sql`lock table rooms in exclusive mode`;
    const answer = await app.post({ query: SEND, variables: { input: { roomId: room.id, content: "hi" } } }, alice);
    assertUnavailable(answer);
    await sql.unsafe("rollback");
  });
  await app.send(alice, room, "hi");
  await assert.rejects(app.app.sql`select pg_sleep(60)`, isAway);
});

/** Kills all connections, and again as soon as everybody has been answered twice since. */
async function killInRounds(app: WiredApp, answers: readonly number[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const before = [...answers];
    await app.killBackends();
    await eventually(
      `all are answered after round ${round}`,
      () => answers.every((count, index) => count >= (before[index] ?? 0) + 2),
    );
  }
}

/** The same id with every try, as a client does that was told to try again. */
async function sendUntilAcknowledged(app: TestApp, as: Person, { id: roomId }: TestRoom): Promise<string> {
  const clientMessageId = crypto.randomUUID();
  while (true) {
    const input = { roomId, content: clientMessageId, clientMessageId };
    const answer = await app.post({ query: SEND, variables: { input } }, as);
    if (answer.body.errors === undefined) return answer.body.data.sendMessage.message.id;
    assertUnavailable(answer);
  }
}

function assertUnavailable({ status, body }: Answer): void {
  const [error, ...others] = body.errors ?? [];
  assert.ok(error, JSON.stringify(body));
  for (const { extensions } of [error, ...others]) {
    assert.deepEqual([status, extensions.code, typeof extensions.retryAfterMs], [503, "UNAVAILABLE", "number"]);
  }
}

async function readiness({ url }: TestApp): Promise<[code: number, status: string, postgres: string]> {
  const response = await fetch(new URL("/readyz", url));
  const { status, parts: { postgres } } = await response.json();
  return [response.status, status, postgres];
}
