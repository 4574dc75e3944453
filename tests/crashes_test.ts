/** Promises that hold when the server is killed in the middle of everything. */
import { strict as assert } from "node:assert";
import { type Person, startApp, type TestRoom } from "./support/app.ts";
import { createTestDatabase, type TestDatabase } from "./support/databases.ts";
import { seqOf } from "./support/follow.ts";
import { assertGapless, followWithDrops } from "./support/gapless.ts";
import { Host } from "./support/hosts.ts";
import { done } from "./support/mutations.ts";

const SENDERS = 20;
const MESSAGES_EACH = 50;
const KILL_AFTER = [200, 600];
const DROPS = [7, 25, 99, 1_000];

Deno.test("kill -9 in the middle of a flood loses no acknowledged message, doubles none and leaves no gap", async () => {
  await using database = await createTestDatabase();
  const people = await signUpSenders(database);
  await using host = await Host.start(database.config);
  const { api } = host;
  const [owner, ...others] = people;
  assert.ok(owner);
  const room = await api.makeRoom(owner, ...others);
  const [from, to] = [seqOf(room) + 1, seqOf(room) + SENDERS * MESSAGES_EACH];

  const isUp = () => host.isUp;
  const acknowledged = new Map<string, string>();
  const sending = people.map(async (person, index) => {
    for (let n = 0; n < MESSAGES_EACH; n++) {
      const content = `${index}:${n}`;
      acknowledged.set(content, await sendUntilAnswered(host, person, room, content));
      if (KILL_AFTER.includes(acknowledged.size)) host.crash();
    }
  });
  const followings = DROPS.map((every, index) =>
    followWithDrops(api, people[index] ?? owner, room, { every, until: to, isUp })
  );
  await Promise.all(sending);
  const all = await Promise.all(followings);

  assert.equal(host.crashes, KILL_AFTER.length);
  for (const events of all) {
    assertGapless(events, from, to);
    const received = events.map(({ message }) => [message.content, message.id]);
    assert.deepEqual(received.sort(), [...acknowledged].sort());
  }
});

async function signUpSenders({ config }: TestDatabase): Promise<Person[]> {
  await using app = await startApp({ ...config });
  return await Promise.all(Array.from({ length: SENDERS }, () => app.signUp()));
}

/** The same id with every try, as a client does that got no answer. */
async function sendUntilAnswered(host: Host, as: Person, room: TestRoom, content: string): Promise<string> {
  const input = { roomId: room.id, content, clientMessageId: crypto.randomUUID() };
  while (true) {
    await host.isUp;
    try {
      const { message } = await done(host.api, "sendMessage", input, as, "message { id }");
      return message.id;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what `fetch` throws when the connection is refused or lost
    }
  }
}
