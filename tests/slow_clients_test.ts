/** Promises about a client that does not read: it costs a bounded amount of memory, is cut off, and harms nobody. */
import { strict as assert } from "node:assert";
import type { Api, Person, TestRoom } from "./support/app.ts";
import { createTestDatabase } from "./support/databases.ts";
import { EventStream } from "./support/event_streams.ts";
import { eventually } from "./support/eventually.ts";
import { RoomFollower, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { ServerProcess } from "./support/processes.ts";
import { SilentSocket } from "./support/silent_sockets.ts";

const MESSAGE_CHARACTERS = 100_000;
const EXTRA_BYTES_MAX = 20 * 1024 * 1024;
const SENDERS = 5;
/** A small heap is collected all the time, so that what the process holds is what it needs, give or take 10 MB. */
const SMALL_HEAP = "--max-old-space-size=120,--max-semi-space-size=8";

Deno.test("while 100 MB go through a room, those who never read cost less than 20 MB and are cut off, and nobody waits for them", async () => {
  await using database = await createTestDatabase();
  await using server = new ServerProcess({
    ...database.config,
    MAX_MESSAGE_LENGTH: String(MESSAGE_CHARACTERS),
    DENO_V8_FLAGS: SMALL_HEAP,
  });
  const api = await server.api();
  const [alice, bob] = [await api.signUp(), await api.signUp()];
  const room = await api.makeRoom(alice, bob);
  // The same traffic first without them: what the server needs for that is not their cost.
  const warm = await flood(api, { from: alice, to: bob, room, after: room.cursor, count: 500 });
  const before = await server.residentBytes();
  using _silentSocket = await SilentSocket.follow(api, bob, room);
  await using _silentStream = await EventStream.follow(api, bob, room);
  await eventually("both follow", async () => await metric(api, "parley_followers") === 2);
  await flood(api, { from: alice, to: bob, room, after: warm, count: 1_000 });
  const extra = await server.residentBytes() - before;
  assert.ok(extra < EXTRA_BYTES_MAX, `the server has grown by ${Math.round(extra / 1024 / 1024)} MB`);
  await eventually(
    "the socket is closed",
    async () => await metric(api, 'parley_socket_closes_total{code="4013"}') === 1,
  );
  await eventually("nobody follows", async () => await metric(api, "parley_followers") === 0);
});

interface Flood {
  readonly from: Person;
  readonly to: Person;
  readonly room: TestRoom;
  readonly after: string;
  readonly count: number;
}

/** Sends long messages, and sees them all arrive. Returns the last cursor. */
async function flood(api: Api, { from, to, room, after, count }: Flood): Promise<string> {
  await using follower = new RoomFollower(api, to, room, after);
  await follower.next();
  const content = "x".repeat(MESSAGE_CHARACTERS);
  const sending = Array.from({ length: SENDERS }, async () => {
    for (let n = 0; n < count / SENDERS; n++) await api.send(from, room, content);
  });
  const events = await follower.take(count);
  await Promise.all(sending);
  const start = seqOf({ cursor: after }) + 1;
  assertGapless(events, start, start + count - 1);
  return events.at(-1).cursor;
}

/** The value in `/metrics`; 0 where there is none yet. */
async function metric({ url }: Api, name: string): Promise<number> {
  const text = await (await fetch(new URL("/metrics", url))).text();
  const line = text.split("\n").find((line) => line.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}
