/** Promises to people who follow the same room with an operation that asks who they are: nobody sees another's answer. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestRoom } from "./support/app.ts";
import { countExecutions } from "./support/counters.ts";
import { RawSocket } from "./support/sockets.ts";

/** Has no slot: it cannot be executed once for all. */
const PERSONAL = `subscription ($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) {
    events {
      cursor
      ... on MessageSentEvent {
        message { content clientMessageId room { viewerMembership { id user { id } } lastMessage { content } } }
      }
    }
  }
}`;

Deno.test("where an event needs its viewer, each gets the own answer and no event is lost at the switch", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob, carol);
  await using sockets = new AsyncDisposableStack();
  const readers = [];
  for (const person of [alice, bob, carol, carol]) {
    readers.push(await follow(sockets.use(await RawSocket.signIn(app, person)), person, room));
  }
  const contents = ["one", "two", "three"];
  for (const content of contents) await app.send(alice, room, content);
  for (const { person, take } of readers) {
    const events = await take(contents.length);
    assert.deepEqual(events.map(({ message }) => message.content), contents);
    for (const { message: { room: { viewerMembership, lastMessage } } } of events) {
      assert.equal(viewerMembership.user.id, person.id);
      assert.ok(contents.includes(lastMessage.content));
    }
  }
  const before = await countExecutions(app);
  await app.send(alice, room, "four");
  for (const { take } of readers) await take(1);
  assert.equal(await countExecutions(app) - before, 3, "one execution for each viewer");
});

Deno.test("what one room has shown about an operation does not mix up the viewers in another", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const [first, second] = [await app.makeRoom(alice, bob), await app.makeRoom(alice, bob)];
  await using sockets = new AsyncDisposableStack();
  const readers = [];
  for (const room of [first, second]) {
    for (const person of [alice, bob]) {
      readers.push(await follow(sockets.use(await RawSocket.signIn(app, person)), person, room));
    }
  }
  for (const room of [first, second]) {
    await app.send(alice, room, "Hello");
    for (const { person, take } of readers.filter((reader) => reader.room === room)) {
      const [{ message }] = await take(1);
      assert.equal(message.room.viewerMembership.user.id, person.id);
    }
  }
});

interface RoomReader {
  readonly person: Person;
  readonly room: TestRoom;
  take(count: number): Promise<Any[]>;
}

async function follow(socket: RawSocket, person: Person, room: TestRoom): Promise<RoomReader> {
  const id = crypto.randomUUID();
  socket.subscribe(id, PERSONAL, { roomId: room.id });
  const next = async (): Promise<Any[]> => (await socket.next(id)).payload.data.roomEvents.events;
  assert.deepEqual(await next(), []);
  return {
    person,
    room,
    async take(count) {
      const events: Any[] = [];
      while (events.length < count) events.push(...await next());
      assert.equal(events.length, count);
      return events;
    },
  };
}
