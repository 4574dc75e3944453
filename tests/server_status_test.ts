/** Promises of the server's status: what clients validate with, and what only admins see. */
import { strict as assert } from "node:assert";
import denoJson from "../deno.json" with { type: "json" };
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { signUpAdmin } from "./support/admins.ts";
import { TEST_REDIS_URL } from "./support/databases.ts";
import { done } from "./support/mutations.ts";
import { openSocket } from "./support/sessions.ts";

const LIMITS = `maxMessageLength maxUploadBytes maxAttachmentsPerMessage maxRoomMembers maxPageSize
  messageEditWindowSeconds typingTimeoutSeconds`;

Deno.test("anybody may ask for the state, the clock and the limits", async () => {
  await using app = await startApp({
    MAX_MESSAGE_LENGTH: "500",
    MAX_UPLOAD_BYTES: "1000",
    MESSAGE_EDIT_WINDOW_SECONDS: "60",
  });
  const before = Date.now();
  const { serverStatus } = await app.run(`{ serverStatus { status version time startedAt limits { ${LIMITS} } } }`);
  const { time, startedAt, ...rest } = serverStatus;
  assert.deepEqual(rest, {
    status: "OK",
    version: denoJson.version,
    limits: {
      maxMessageLength: 500,
      maxUploadBytes: 1000,
      maxAttachmentsPerMessage: 10,
      maxRoomMembers: 5000,
      maxPageSize: 100,
      messageEditWindowSeconds: 60,
      typingTimeoutSeconds: 6,
    },
  });
  assert.ok(Date.parse(time) >= before && Date.parse(time) <= Date.now(), time);
  assert.ok(Date.parse(startedAt) <= before, startedAt);
});

Deno.test("checks and counts are for admins; for everybody else they are null, without an error", async () => {
  await using app = await startApp();
  const [admin, person] = [await signUpAdmin(app), await app.signUp()];
  const room = await app.makeRoom(person);
  await using _socket = await openSocket(app, person, room.id);
  const nothing = { checks: null, connectionCount: null, instanceCount: null };
  assert.deepEqual(await ask(app), nothing);
  assert.deepEqual(await ask(app, person), nothing);
  const { checks: [database, ...others], ...counts } = await ask(app, admin);
  assert.deepEqual(counts, { connectionCount: 1, instanceCount: 1 });
  assert.deepEqual([database.name, database.status], ["postgres", "OK"]);
  assert.deepEqual(
    others.map(({ name, status }: Any) => [name, status]),
    [...TEST_REDIS_URL === null ? [] : [["redis", "OK"]], ["storage", "OK"], ["worker", "OK"]],
  );
  for (const { latencyMs } of [database, ...others]) assert.ok(latencyMs > 0);
  const other = await signUpAdmin(app);
  await done(app, "updateAccount", { userId: admin.id, role: "USER" }, other);
  assert.deepEqual(await ask(app, admin), nothing, "one who is no admin any more, with the same token");
});

async function ask(app: TestApp, as?: Person): Promise<Any> {
  const document = "{ serverStatus { checks { name status latencyMs } connectionCount instanceCount } }";
  return (await app.run(document, {}, as)).serverStatus;
}
