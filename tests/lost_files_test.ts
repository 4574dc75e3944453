/** Promises to whoever runs the server, when files are lost. */
import { strict as assert } from "node:assert";
import { createTestDatabase } from "./support/databases.ts";
import { ServerProcess } from "./support/processes.ts";
import { reachable, textFile, upload } from "./support/uploads.ts";

Deno.test("a file whose bytes are not in the storage is told so, and whoever runs the server learns which", async () => {
  await using database = await createTestDatabase();
  await using server = new ServerProcess(database.config);
  const api = await server.api();
  const alice = await api.signUp("alice");
  const { attachments: [{ url }] } = await upload(api, alice, await api.makeRoom(alice), textFile("a.txt", "Hello"));
  // As after a move to another storage, without the files.
  await Deno.remove(`${database.config.DATA_DIR}/files`, { recursive: true });
  const response = await fetch(reachable(api, url));
  const message = "Cannot find the file: its bytes are not in the storage";
  assert.deepEqual([response.status, await response.json()], [404, { error: { code: "NOT_FOUND", message } }]);
  await server.kill("SIGTERM");
  const warnings = (await server.printed()).split("\n").filter((line) => line.includes('"level":"warn"'));
  assert.equal(warnings.length, 1, warnings.join("\n"));
  assert.match(
    warnings[0] ?? "",
    /"message":"The storage does not have the bytes of a file","key":"[0-9a-f-]{36}\/upload"/,
  );
});
