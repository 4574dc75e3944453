/** Promises of statements whose connections are refused: each is answered, however many wait. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { isAway, openSql } from "../src/platform/sql.ts";
import { inTime } from "./support/eventually.ts";

/** More than there are connections in a pool. */
const STATEMENTS = 50;

// Timers of postgres.js, which would connect once more, run out a moment after the pool has ended.
const options = { sanitizeOps: false, sanitizeResources: false };

Deno.test("while Postgres is starting up and refuses connections, no statement waits for ever", options, async () => {
  await using postgres = await StartingPostgres.listen();
  const sql = openSql({ url: postgres.url }, { onStatement: () => {}, hasArrays: false });
  for (let round = 0; round < 5; round++) {
    const statements = Array.from({ length: STATEMENTS }, () => sql`select 1`.then(() => null, (error) => error));
    for (const error of await inTime("an answer to every statement", Promise.all(statements))) {
      assert.ok(isAway(error), String(error));
    }
  }
  await sql.end();
});

/** Says to everybody what Postgres says while it recovers from a crash. */
class StartingPostgres implements AsyncDisposable {
  readonly #server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(errorResponse("FATAL", "57P03", "the database system is starting up")));
  });

  static async listen(): Promise<StartingPostgres> {
    const postgres = new StartingPostgres();
    postgres.#server.listen(0, "127.0.0.1");
    await once(postgres.#server, "listening");
    return postgres;
  }

  get url(): string {
    return `postgres://nobody@127.0.0.1:${(this.#server.address() as AddressInfo).port}/nothing`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}

/** https://www.postgresql.org/docs/15/protocol-message-formats.html, ErrorResponse. */
function errorResponse(severity: string, code: string, message: string): Uint8Array {
  const fields = new TextEncoder().encode(`S${severity}\0V${severity}\0C${code}\0M${message}\0\0`);
  const bytes = new Uint8Array(5 + fields.length);
  bytes[0] = "E".charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, 4 + fields.length);
  bytes.set(fields, 5);
  return bytes;
}
