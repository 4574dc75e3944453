/** Promises about sessions that end while streams are open: they end at once, on both kinds of connections. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { EventStream } from "./support/event_streams.ts";
import { inTime } from "./support/eventually.ts";
import { done } from "./support/mutations.ts";
import { addDevice, openSocket } from "./support/sessions.ts";
import { codesOf } from "./support/transports.ts";

const ENDINGS: Record<string, (app: TestApp, person: Person, elsewhere: Person) => Promise<unknown>> = {
  "logout": (app, person) => app.run("mutation { logout { endedSessionId } }", {}, person),
  "revokeSession": async (app, person, elsewhere) => {
    const { viewer } = await app.run("{ viewer { sessions { id isCurrent } } }", {}, person);
    const { id } = viewer.sessions.find((session: Any) => session.isCurrent);
    await done(app, "revokeSession", { sessionId: id }, elsewhere);
  },
  "revokeOtherSessions": (app, _person, elsewhere) =>
    app.run("mutation { revokeOtherSessions { endedSessionIds } }", {}, elsewhere),
  "changePassword": (app, person, elsewhere) =>
    done(app, "changePassword", { currentPassword: person.password, newPassword: "another good one" }, elsewhere),
};

Deno.test("streams of a session end with it, and those of other sessions go on", async () => {
  await using app = await startApp();
  for (const [name, end] of Object.entries(ENDINGS)) {
    const person = await app.signUp();
    const elsewhere = await addDevice(app, person);
    const room = await app.makeRoom(person);
    await using streams = await openStreams(app, person, room);
    await using other = await EventStream.follow(app, elsewhere, room);
    await other.next();
    await end(app, person, elsewhere);
    await app.send(elsewhere, room, "afterwards");
    await assertEnded(streams, name);
    assert.equal((await other.take(1))[0].message.content, "afterwards");
  }
});

Deno.test("streams end when their access token expires", async () => {
  await using app = await startApp({ ACCESS_TOKEN_TTL_SECONDS: "3" });
  const person = await app.signUp();
  const room = await app.makeRoom(person);
  await using streams = await openStreams(app, person, room);
  await assertEnded(streams, "expiry");
});

Deno.test("a stream that is opened while its session ends is refused or ended, never broken", async () => {
  await using app = await startApp();
  const owner = await app.signUp();
  const room = await app.makeRoom(owner);
  const member = await app.signUp();
  await done(app, "joinRoom", { roomId: room.id }, member);
  for (let attempt = 0; attempt < 5; attempt++) {
    const device = await addDevice(app, member);
    // While the database is busy, what both ask of it is put in a row: the stream is checked, then its session ends.
    const busy = app.app.sql`select count(*) from generate_series(1, 300000)`.execute();
    const opening = EventStream.follow(app, device, room);
    const ending = app.run("mutation { logout { endedSessionId } }", {}, device);
    await busy;
    await using stream = await opening;
    await ending;
    const results: Any[] = [];
    for await (const result of stream.results) results.push(result);
    assert.deepEqual(codesOf(results.at(-1)), [["UNAUTHENTICATED"]]);
  }
});

interface OpenStreams extends AsyncDisposable {
  readonly socketClosed: Promise<number>;
  readonly stream: EventStream;
}

async function openStreams(app: TestApp, person: Person, room: TestRoom): Promise<OpenStreams> {
  await using stack = new AsyncDisposableStack();
  const { closed } = stack.use(await openSocket(app, person, room.id));
  const stream = stack.use(await EventStream.follow(app, person, room));
  await stream.next();
  const resources = stack.move();
  return { socketClosed: closed, stream, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Nothing came between the ending and the end. */
async function assertEnded({ socketClosed, stream }: OpenStreams, why: string): Promise<void> {
  assert.equal(await inTime(`the close after ${why}`, socketClosed), 4403, why);
  assert.deepEqual(codesOf(await stream.next()), [["UNAUTHENTICATED"]], why);
  assert.equal((await stream.results.next()).done, true, why);
}
