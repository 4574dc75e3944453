/** Files that are larger than what a server wants to hold. */
import { strict as assert } from "node:assert";
import { encodeId } from "../src/lib/ids.ts";
import type { Api, Person, TestRoom } from "./support/app.ts";
import { createTestDatabase } from "./support/databases.ts";
import { ServerProcess } from "./support/processes.ts";
import { announceFile, SlowPut } from "./support/transfers.ts";
import { reachable } from "./support/uploads.ts";

const MB = 1024 * 1024;
const FILE_BYTES = 200 * MB;
/** What the server may need on top for it. */
const EXTRA_BYTES_MAX = 100 * MB;

Deno.test("a file of 200 MB goes through a server that grows by less than 100 MB, in and out", async () => {
  await using database = await createTestDatabase();
  await using server = new ServerProcess({ ...database.config, MAX_UPLOAD_BYTES: String(FILE_BYTES) });
  const api = await server.api();
  const alice = await api.signUp("alice");
  const room = await api.makeRoom(alice);
  const look = () => server.residentBytes();
  await passThrough(api, { as: alice, room, byteSize: 10 * MB, look }); // what a process takes once is taken
  const before = await look();
  const seen = await passThrough(api, { as: alice, room, byteSize: FILE_BYTES, look });
  const extra = Math.max(...seen) - before;
  assert.ok(extra < EXTRA_BYTES_MAX, `it took ${Math.round(extra / MB)} MB more`);
});

/** Sends a file and gets it back; what was seen on the way. */
async function passThrough(api: Api, { as, room, byteSize, look }: {
  readonly as: Person;
  readonly room: TestRoom;
  readonly byteSize: number;
  readonly look: () => Promise<number>;
}): Promise<number[]> {
  const announced = await announceFile(api, as, { room, byteSize, filename: "film.bin" });
  const seen: number[] = [];
  using sending = await SlowPut.begin(announced);
  const piece = new Uint8Array(MB);
  for (let sent = 0; sent < byteSize; sent += MB) {
    await sending.send(piece);
    if (sent % (50 * MB) === 0) seen.push(await look());
  }
  assert.equal((await sending.answer()).status, 201);
  seen.push(await look());

  const query = `query ($id: ID!) { node(id: $id) { ... on Attachment { url } } }`;
  const { node } = await api.run(query, { id: encodeId("attachment", announced.id) }, as);
  const response = await fetch(reachable(api, node.url));
  let received = 0;
  for await (const chunk of response.body ?? []) {
    if (received === 0) seen.push(await look());
    received += chunk.length;
  }
  assert.equal(received, byteSize);
  return [...seen, await look()];
}
