/** The server as a process: how it starts, how it refuses to, and how it ends. */
import { strict as assert } from "node:assert";
import { startApp } from "./support/app.ts";
import { createTestDatabase } from "./support/databases.ts";
import { EventStream } from "./support/event_streams.ts";
import { ROOM_EVENTS, RoomFollower } from "./support/follow.ts";
import { done } from "./support/mutations.ts";
import { ServerProcess } from "./support/processes.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const HISTORY = `query ($id: ID!) { room(id: $id) { eventCursor messages(last: 100) { nodes { content } } } }`;

Deno.test("after kill -9 the server starts again with everything that it acknowledged", async () => {
  await using database = await createTestDatabase();
  await using first = new ServerProcess(database.config);
  const before = await first.api();
  const alice = await before.signUp("alice");
  const room = await before.makeRoom(alice);
  const acknowledged: string[] = [];
  const write = async (writer: string) => {
    for (let count = 0;; count++) {
      const { content } = await before.send(alice, room, `${writer}${count}`);
      acknowledged.push(content);
      if (acknowledged.length === 40) await first.kill("SIGKILL");
    }
  };
  await Promise.allSettled(["a", "b", "c", "d"].map(write)); // each ends with the connection

  await using second = new ServerProcess(database.config);
  const after = await second.api();
  const { room: { messages, eventCursor } } = await after.run(HISTORY, { id: room.id }, alice);
  const stored = new Set(messages.nodes.map(({ content }: { content: string }) => content));
  assert.deepEqual(acknowledged.filter((content) => !stored.has(content)), []);
  assert.equal(eventCursor.split(".")[1], String(Number(room.cursor.split(".")[1]) + stored.size));

  await using follower = new RoomFollower(after, alice, room, room.cursor);
  assert.equal((await follower.take(stored.size)).length, stored.size, "cursors from before the crash are honoured");
  await done(after, "login", { login: alice.username, password: alice.password });
});

Deno.test("SIGTERM sends a crowd away, telling each, and ends the process with code 0", async () => {
  await using database = await createTestDatabase();
  await using server = new ServerProcess({ ...database.config, DRAIN_SECONDS: "5", MAX_CONNECTIONS_PER_USER: "1000" });
  const api = await server.api();
  const alice = await api.signUp("alice");
  const room = await api.makeRoom(alice);
  await using stack = new AsyncDisposableStack();
  const sockets = await Promise.all(
    Array.from({ length: 200 }, async () => stack.use(await RawSocket.signIn(api, alice))),
  );
  for (const socket of sockets) socket.subscribe("live", ROOM_EVENTS, { roomId: room.id });
  await Promise.all(sockets.map((socket) => socket.next("live")));
  const streams = await Promise.all(
    Array.from({ length: 20 }, async () => stack.use(await EventStream.follow(api, alice, room))),
  );
  await Promise.all(streams.map((stream) => stream.next()));

  const { code, signal } = await server.kill("SIGTERM");
  assert.deepEqual([code, signal], [0, null]);
  const closings = await Promise.all(sockets.map(async ({ closed }) => (await closed).code));
  assert.deepEqual(closings, sockets.map(() => 1012));
  const lastWords = await Promise.all(streams.map(async (stream) => codesOf(await stream.next())));
  assert.deepEqual(lastWords, streams.map(() => [["UNAVAILABLE"]]));
});

Deno.test("a process whose settings are wrong says which, and ends with code 1", async () => {
  await using server = new ServerProcess({ PORT: "no", LOG_LEVEL: "loud" });
  assert.equal((await server.status).code, 1);
  const printed = await server.printed();
  assert.match(printed, /^Cannot start: the configuration is not valid\n {2}PORT: .*\n {2}LOG_LEVEL: .*\n$/);
});

Deno.test("a process whose port is taken says so in one sentence, and ends with code 1", async () => {
  await using database = await createTestDatabase();
  using taken = takePort();
  await using server = new ServerProcess({ ...database.config, PORT: String(taken.port) });
  assert.equal((await server.status).code, 1);
  const sentence = `Cannot listen on 127.0.0.1:${taken.port}: the port is taken; stop what uses it or set PORT`;
  assert.equal(await server.printed(), `${sentence}\n`);
});

Deno.test("a server that finds its port taken leaves nothing open behind it", async () => {
  using taken = takePort();
  await assert.rejects(startApp({ PORT: String(taken.port) }), /the port is taken; stop what uses it or set PORT$/);
});

function takePort(): { readonly port: number } & Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
}
