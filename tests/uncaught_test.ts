/** Promises to everybody else when the server has a bug. */
import { strict as assert } from "node:assert";
import type { Api } from "./support/app.ts";
import { createTestDatabase } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";
import { RoomFollower } from "./support/follow.ts";
import { ServerProcess } from "./support/processes.ts";

Deno.test("an error that nobody caught is logged and counted, and ends neither the process nor a stream", async () => {
  await using database = await createTestDatabase();
  await using server = new ServerProcess(database.config, "tests/support/faulty_server.ts");
  const api = await server.api();
  await eventually("both errors are counted", async () => await countUncaught(api) === 2);
  const alice = await api.signUp();
  const room = await api.makeRoom(alice);
  {
    await using follower = new RoomFollower(api, alice, room, room.cursor);
    await api.send(alice, room, "still here");
    const [event] = await follower.take(1);
    assert.equal(event.message.content, "still here");
  }
  const { code } = await server.kill("SIGTERM");
  assert.equal(code, 0);
  const lines = (await server.printed()).trim().split("\n").map((line) => JSON.parse(line));
  const errors = lines.filter(({ level }) => level === "error");
  assert.deepEqual(errors.map(({ message, error }) => [message, error.message]), [
    ["Uncaught error", "a bug in a timer"],
    ["Unhandled rejection", "a bug in a promise"],
  ]);
  for (const { errorId } of errors) assert.match(errorId, /^[0-9a-f-]{36}$/);
});

async function countUncaught({ url }: Api): Promise<number> {
  const text = await (await fetch(new URL("/metrics", url))).text();
  return Number(/^parley_uncaught_errors_total (\d+)$/m.exec(text)?.[1]);
}
