/** What clients leave behind when they go, in whichever way: nothing. */
import { strict as assert } from "node:assert";
import { type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { countFollowers, countSockets, countStatements } from "./support/counters.ts";
import { gather } from "./support/crowds.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually } from "./support/eventually.ts";
import { ROOM_EVENTS } from "./support/follow.ts";
import { RawSocket } from "./support/sockets.ts";

const STREAMS = {
  room: ROOM_EVENTS,
  viewer: "subscription { viewerEvents { cursor } }",
  presence: "subscription ($roomId: ID!) { presence(target: { roomId: $roomId }) { user { id } } }",
  typing: "subscription ($roomId: ID!) { roomTyping(roomId: $roomId) { room { id } } }",
};
const PEOPLE = 10;
const SOCKETS_PER_PERSON = 10;
const SOCKETS = PEOPLE * SOCKETS_PER_PERSON;

Deno.test("crowds that come, follow everything and leave again leave nothing behind", async () => {
  await using app = await startApp({
    MAX_CONNECTIONS: String(SOCKETS),
    MAX_CONNECTIONS_PER_ADDRESS: String(SOCKETS),
    MAX_CONNECTIONS_PER_USER: String(SOCKETS_PER_PERSON),
  });
  const owner = await app.signUp("owner");
  const room = await app.makeRoom(owner);
  const people = await gather(app, room, PEOPLE);
  await visit(app, { room, people }); // what lives as long as the node is made now
  const base = app.app.bus.listenerCount;
  for (let round = 0; round < 5; round++) {
    await visit(app, { room, people }); // every quota is filled to the last place
    await eventually("nobody listens any more", () => app.app.bus.listenerCount === base);
  }
});

Deno.test("a stream whose client goes while it is opened takes no place", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  for (let round = 0; round < 5; round++) {
    const before = await countStatements(app);
    const hangUp = new AbortController();
    const openings = Array.from({ length: 20 }, () => openAndGo(app, { room, as: alice, signal: hangUp.signal }));
    while (await countStatements(app) === before) await new Promise((resolve) => setTimeout(resolve)); // all are on their way
    hangUp.abort();
    await Promise.all(openings);
  }
  await eventually("the server has answered all", async () => await countFollowers(app) === 0);
  await using stream = await EventStream.follow(app, alice, room);
  assert.equal((await stream.next()).errors, undefined);
});

/** A crowd comes, follows everything, and leaves. */
async function visit(
  app: TestApp,
  { room, people }: { readonly room: TestRoom; readonly people: readonly Person[] },
): Promise<void> {
  {
    await using stack = new AsyncDisposableStack();
    const sockets = await Promise.all(
      people.flatMap((person) =>
        Array.from({ length: SOCKETS_PER_PERSON }, async () => stack.use(await RawSocket.signIn(app, person)))
      ),
    );
    for (const socket of sockets) {
      for (const [id, query] of Object.entries(STREAMS)) socket.subscribe(id, query, { roomId: room.id });
    }
    const followers = SOCKETS * Object.keys(STREAMS).length;
    await eventually("all follow", async () => await countFollowers(app) === followers);
    await Promise.all(sockets.map((socket) => socket.next("room")));
    // Half of them say that they go.
    for (const socket of sockets.slice(SOCKETS / 2)) {
      for (const id of Object.keys(STREAMS)) socket.send({ id, type: "complete" });
    }
  }
  await eventually("nobody follows any more", async () => await countFollowers(app) === 0);
  await eventually("nobody is connected any more", async () => await countSockets(app) === 0);
}

async function openAndGo(
  app: TestApp,
  { room, as, signal }: { readonly room: TestRoom; readonly as: Person; readonly signal: AbortSignal },
): Promise<void> {
  const opening = fetch(app.url, {
    method: "POST",
    signal,
    headers: {
      "content-type": "application/json",
      accept: "text/event-stream",
      authorization: `Bearer ${as.token}`,
    },
    body: JSON.stringify({ query: ROOM_EVENTS, variables: { roomId: room.id } }),
  });
  await opening.then(({ body }) => body?.cancel()).catch(() => {});
}
