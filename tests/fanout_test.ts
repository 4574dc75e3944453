/** Promises of the fan-out: one message costs one execution, and still everybody sees what is theirs. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done } from "./support/mutations.ts";
import { RawSocket } from "./support/sockets.ts";

const SOCKETS = 5;
const SUBSCRIPTIONS_EACH = 100;

const WITH_SLOTS = `subscription ($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) {
    cursor
    events {
      cursor
      ... on MessageSentEvent {
        message { content clientMessageId viewerCanEdit viewerCanDelete author { isViewer } }
      }
    }
  }
}`;

Deno.test("one message to 500 subscriptions is executed once and encoded once, and each has the viewer's own values", async () => {
  await using app = await startApp();
  const people = await Promise.all(Array.from({ length: SOCKETS }, () => app.signUp()));
  const [owner, author, ...others] = people;
  assert.ok(owner && author);
  const room = await app.makeRoom(owner, author, ...others);
  const { cursor: middle } = await app.send(owner, room, "one");
  const { cursor: newest } = await app.send(owner, room, "two");
  const starts = [null, room.cursor, middle, newest];

  await using sockets = new AsyncDisposableStack();
  const readers: { person: Person; next: () => Promise<Any[]> }[] = [];
  for (const person of people) {
    const socket = sockets.use(await RawSocket.signIn(app, person));
    for (let n = 0; n < SUBSCRIPTIONS_EACH; n++) {
      const after = starts[n % starts.length];
      socket.subscribe(`s${n}`, WITH_SLOTS, { roomId: room.id, after });
      const next = async () => (await socket.next(`s${n}`)).payload.data.roomEvents.events;
      readers.push({ person, next });
      for (let left = after === room.cursor ? 2 : after === middle ? 1 : 0;;) {
        left -= (await next()).length;
        if (left === 0) break;
      }
    }
  }

  const before = await countWork(app);
  await done(app, "sendMessage", { roomId: room.id, content: "three", clientMessageId: "mine" }, author);
  for (const { person, next } of readers) {
    const [event, ...more] = await next();
    assert.equal(more.length, 0);
    assert.deepEqual(event.message, {
      content: "three",
      clientMessageId: person === author ? "mine" : null,
      viewerCanEdit: person === author,
      viewerCanDelete: person === author || person === owner,
      author: { isViewer: person === author },
    });
  }
  assert.deepEqual(await countWork(app), { executions: before.executions + 1, encodings: before.encodings + 1 });
});

Deno.test("subscriptions that ask for different things are not mixed up", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp(), await app.signUp()];
  const room = await app.makeRoom(alice, bob);
  const document = (field: string) =>
    `subscription ($roomId: ID!, $shown: Boolean = true) {
      roomEvents(roomId: $roomId) { events { ... on MessageSentEvent { message { ${field} @include(if: $shown) } } } }
    }`;
  await using socket = await RawSocket.signIn(app, bob);
  const asked: [id: string, query: string, variables: object, expected: object][] = [
    ["content", document("content"), {}, { content: "Hello" }],
    ["again", document("content"), { shown: true }, { content: "Hello" }],
    ["hidden", document("content"), { shown: false }, {}],
    ["alias", document("text: content"), {}, { text: "Hello" }],
  ];
  for (const [id, query, variables] of asked) {
    socket.subscribe(id, query, { roomId: room.id, ...variables });
    assert.deepEqual((await socket.next(id)).payload.data.roomEvents.events, []);
  }
  await app.send(alice, room, "Hello");
  for (const [id, , , expected] of asked) {
    assert.deepEqual((await socket.next(id)).payload.data.roomEvents.events, [{ message: expected }], id);
  }
});

Deno.test("only the cursor of the stream is left out of what makes two subscriptions the same", async () => {
  await using app = await startApp();
  const alice = await app.signUp();
  const room = await app.makeRoom(alice);
  const first = await app.send(alice, room, "first");
  const second = await app.send(alice, room, "second");
  const query = `subscription ($roomId: ID!, $after: String) {
    roomEvents(roomId: $roomId) { events { room { ...Newer } } }
  }
  fragment Newer on Room { messages(first: 1, after: $after) { nodes { content } } }`;
  await using socket = await RawSocket.signIn(app, alice);
  for (const [id, { cursor }] of [["one", first], ["two", second]] as const) {
    socket.subscribe(id, query, { roomId: room.id, after: cursor });
    await socket.next(id);
  }
  await app.send(alice, room, "third");
  for (const [id, content] of [["one", "second"], ["two", "third"]] as const) {
    const { events } = (await socket.next(id)).payload.data.roomEvents;
    assert.deepEqual(events, [{ room: { messages: { nodes: [{ content }] } } }], id);
  }
});

async function countWork({ app: { metrics } }: TestApp): Promise<{ executions: number; encodings: number }> {
  const [executions, encodings] = await Promise.all([metrics.liveExecutions.get(), metrics.liveEncodings.get()]);
  return { executions: executions.values[0]?.value ?? 0, encodings: encodings.values[0]?.value ?? 0 };
}
