/** How much one client may have open: of a person, of an address, and of peers that never say goodbye. */
import { strict as assert } from "node:assert";
import { type Person, startApp, type TestApp } from "./support/app.ts";
import { countFollowers } from "./support/counters.ts";
import { createTestDatabase } from "./support/databases.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually } from "./support/eventually.ts";
import { ServerProcess } from "./support/processes.ts";
import { addDevice } from "./support/sessions.ts";
import { SilentSocket } from "./support/silent_sockets.ts";
import { RawSocket } from "./support/sockets.ts";

const BEHIND_PROXY = { TRUSTED_PROXIES: "127.0.0.1" };
const from = (address: string) => ({ "x-forwarded-for": address });

Deno.test("an address has so many connections and no more, signed in or not; other addresses are not held up", async () => {
  await using app = await startApp({ ...BEHIND_PROXY, MAX_CONNECTIONS_PER_ADDRESS: "2" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await using nobody = await RawSocket.open(app);
  await using stream = await EventStream.follow(app, alice, room);
  await stream.next();
  {
    await using third = await RawSocket.open(app);
    assert.equal((await third.closed).code, 1013);
  }
  await using other = await RawSocket.open(app, from("203.0.113.7"));
  other.send({ type: "ping" });
  await other.next("pong");
  nobody.send(new Uint8Array(1)); // the server closes it, so the place is free before the test hears of it
  assert.equal((await nobody.closed).code, 1003);
  await using again = await RawSocket.open(app);
  again.send({ type: "ping" });
  await again.next("pong");
});

Deno.test("a whole IPv6 network has the connections of one address", async () => {
  await using app = await startApp({ ...BEHIND_PROXY, MAX_CONNECTIONS_PER_ADDRESS: "1" });
  await using _first = await RawSocket.open(app, from("2001:db8:0:7::1"));
  await using second = await RawSocket.open(app, from("2001:db8:0:7:ffff::2"));
  assert.equal((await second.closed).code, 1013);
  await using other = await RawSocket.open(app, from("2001:db8:0:8::1"));
  other.send({ type: "ping" });
  await other.next("pong");
});

Deno.test("a stream that is too many, for its person or its address, is told when to come back", async (t) => {
  for (const setting of ["MAX_CONNECTIONS_PER_ADDRESS", "MAX_CONNECTIONS_PER_USER", "MAX_CONNECTIONS"]) {
    await t.step(setting, async () => {
      await using app = await startApp({ [setting]: "1" });
      const alice = await app.signUp("alice");
      const room = await app.makeRoom(alice);
      {
        await using _socket = await RawSocket.signIn(app, alice);
        await using stream = await EventStream.follow(app, alice, room);
        const { errors: [{ extensions: { code, retryAfterMs } }] } = await stream.next();
        assert.deepEqual([code, retryAfterMs], ["UNAVAILABLE", 5_000]);
        await assert.rejects(stream.next(), /The stream has ended/);
        assert.equal(await countFollowers(app), 0, "what is refused follows nothing");
      }
      await eventually("the place is free again", async () => {
        await using stream = await EventStream.follow(app, alice, room);
        return (await stream.next()).errors === undefined;
      });
    });
  }
});

Deno.test("whoever runs the server learns, once, that an address has too many connections, and what to set", async () => {
  await using database = await createTestDatabase();
  await using server = new ServerProcess({ ...database.config, MAX_CONNECTIONS_PER_ADDRESS: "1" });
  const api = await server.api();
  await using _first = await RawSocket.open(api);
  for (let n = 0; n < 3; n++) {
    await using refused = await RawSocket.open(api);
    assert.equal((await refused.closed).code, 1013);
  }
  await server.kill("SIGTERM");
  const warnings = (await server.printed()).split("\n").filter((line) => line.includes('"level":"warn"'));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /MAX_CONNECTIONS_PER_ADDRESS.*TRUSTED_PROXIES.*"ipAddress":"127.0.0.1"/);
});

Deno.test("a peer that never answers the closing of its socket keeps its place for a while, and not for ever", async () => {
  await using app = await startApp({ MAX_CONNECTIONS_PER_USER: "1" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const laptop = await addDevice(app, alice);
  using _silent = await SilentSocket.follow(app, alice, room);
  await eventually("it follows", async () => await countFollowers(app) === 1);
  await app.run("mutation { logout { endedSessionId } }", {}, alice);
  await eventually("it is closed", async () => await countFollowers(app) === 0);
  assert.equal(await isAdmitted(app, laptop), false);
  await eventually("the place is free", () => isAdmitted(app, laptop));
});

Deno.test("a peer that never reads the end of its stream keeps its place for a while, and not for ever", async () => {
  await using app = await startApp({ MAX_CONNECTIONS_PER_USER: "1", MAX_MESSAGE_LENGTH: "100000" });
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const laptop = await addDevice(app, alice);
  await using _unread = await EventStream.follow(app, alice, room);
  await eventually("it follows", async () => await countFollowers(app) === 1);
  for (let n = 0; n < 100; n++) await app.send(bob, room, "x".repeat(100_000)); // more than the network takes
  await app.run("mutation { logout { endedSessionId } }", {}, alice);
  await eventually("it is ended", async () => await countFollowers(app) === 0);
  assert.equal(await isAdmitted(app, laptop), false);
  await eventually("the place is free", () => isAdmitted(app, laptop));
});

/** Whether the person gets one more socket now. */
async function isAdmitted(app: TestApp, person: Person): Promise<boolean> {
  await using socket = await RawSocket.open(app);
  socket.send({ type: "connection_init", payload: { token: person.token } });
  return await Promise.race([socket.next("connection_ack").then(() => true), socket.closed.then(() => false)]);
}
