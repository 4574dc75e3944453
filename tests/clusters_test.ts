/** Promises of several nodes on one database: it makes no difference which of them one talks to. */
import { startApp, type TestApp } from "./support/app.ts";
import { isClustered } from "./support/databases.ts";
import { RoomFollower } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";

/** A test on two nodes; the embedded database belongs to one. */
function test(promise: string, check: (one: TestApp, other: TestApp) => Promise<void>): void {
  Deno.test({
    name: promise,
    ignore: !isClustered,
    async fn() {
      await using one = await startApp();
      await using other = await startApp({}, { joins: one });
      await check(one, other);
    },
  });
}

test("what is sent on one node arrives on the other, by itself and in order", async (one, other) => {
  const [alice, bob] = [await one.signUp("alice"), await one.signUp("bob")];
  const room = await one.makeRoom(alice, bob);
  await using follower = new RoomFollower(other, bob, room, room.cursor);
  await follower.next();
  for (let n = 0; n < 20; n++) await (n % 3 === 0 ? other : one).send(alice, room, `message ${n}`);
  assertGapless(await follower.take(20), 3, 22);
});
