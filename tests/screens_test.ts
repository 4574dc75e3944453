/** The operations of a chat client, one for each screen: every one is answered, and asks the database no more often than is
 * written here, however much there is to show. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { countStatements } from "./support/counters.ts";
import { kindOf, operation, OPERATION_NAMES } from "./support/operations.ts";
import { seedChat, type SeededChat } from "./support/seeds.ts";
import { RawSocket } from "./support/sockets.ts";
import { postFiles, type TestFile, textFile } from "./support/uploads.ts";

/** SQL statements that a screen may cost, and what it asks for. */
interface ScreenCost {
  readonly statements: number;
  readonly variables?: (chat: SeededChat) => object;
  /** By their paths in the request. */
  readonly files?: Readonly<Record<string, TestFile>>;
}

const SCREENS: Readonly<Record<string, ScreenCost>> = {
  // Pictures are asked for in four turns: the viewer's own, of rooms, of conversations of two, of those who invite.
  AppBoot: { statements: 19 },
  RoomScreen: { statements: 15, variables: ({ room }) => ({ id: room.id }) },
  OlderMessages: {
    statements: 12,
    variables: ({ room }) => ({ id: room.id, before: room.cursor.replace(/\d+$/, "40") }),
  },
  JumpToMessage: { statements: 12, variables: ({ room, messageId }) => ({ id: room.id, messageId }) },
  Thread: { statements: 16, variables: ({ rootId }) => ({ id: rootId }) },
  MembersPanel: { statements: 6, variables: ({ room }) => ({ id: room.id }) },
  FilesPanel: { statements: 5, variables: ({ room }) => ({ id: room.id }) },
  Browse: { statements: 4, variables: () => ({ search: "Room" }) },
  Search: { statements: 6, variables: () => ({ q: "message" }) },
  Settings: { statements: 6 },
  SendMessage: { statements: 12, variables: ({ room }) => ({ input: { roomId: room.id, content: "Hello" } }) },
  Login: { statements: 5, variables: ({ alice }) => ({ input: { login: alice.username, password: alice.password } }) },
  Refresh: { statements: 2, variables: ({ alice }) => ({ input: { refreshToken: alice.refreshToken } }) },
  Upload: {
    statements: 9,
    variables: ({ room }) => ({ input: { roomId: room.id, files: [null, null] } }),
    files: { "variables.input.files.0": textFile("a.txt", "one"), "variables.input.files.1": textFile("b.txt", "two") },
  },
  Read: { statements: 8, variables: ({ room }) => ({ input: { roomId: room.id } }) },
};

/** Streams, whose first value is looked at. */
const STREAMS: Readonly<Record<string, (chat: SeededChat) => object>> = {
  ViewerEvents: () => ({}),
  RoomEvents: ({ room }) => ({ roomId: room.id, after: room.cursor }),
  RoomTyping: ({ room }) => ({ roomId: room.id }),
};

/** Says nothing until somebody comes or goes. */
const SILENT = ["RoomPresence"];

Deno.test("every screen is answered within its bound of statements, with 10 messages as with 60", async (t) => {
  await using app = await startApp();
  const [small, large] = [await seedChat(app, { messages: 10 }), await seedChat(app, { messages: 60 })];
  for (const [name, { statements, variables = () => ({}), files = {} }] of Object.entries(SCREENS)) {
    await t.step(`${name}: ${statements}`, async () => {
      const [few, many] = [
        await statementsOf(app, () => answer(app, { name, variables: variables(small), files, as: small.alice })),
        await statementsOf(app, () => answer(app, { name, variables: variables(large), files, as: large.alice })),
      ];
      assert.ok(many <= statements, `${name} took ${many} statements`);
      assert.ok(many <= few + 1, `${name} took ${few} statements for little and ${many} for much`);
    });
  }
});

Deno.test("every stream of a screen begins", async (t) => {
  await using app = await startApp();
  const chat = await seedChat(app, { messages: 10 });
  for (const [name, variables] of Object.entries(STREAMS)) {
    await t.step(name, async () => {
      await using socket = await RawSocket.signIn(app, chat.alice);
      socket.subscribe("1", operation(name), variables(chat));
      const { type, payload } = await socket.next("1");
      assert.equal(type, "next", JSON.stringify(payload));
      assert.equal(payload.errors, undefined);
    });
  }
});

Deno.test("no operation is left out", () => {
  const known = [...Object.keys(SCREENS), ...Object.keys(STREAMS), ...SILENT];
  assert.deepEqual([...OPERATION_NAMES].sort(), known.sort());
  assert.deepEqual(Object.keys(STREAMS).filter((name) => kindOf(name) !== "subscription"), []);
});

interface Screen {
  readonly name: string;
  readonly variables: object;
  readonly files: Readonly<Record<string, TestFile>>;
  readonly as: Person;
}

async function answer(app: TestApp, { name, variables, files, as }: Screen): Promise<Any> {
  const query = operation(name);
  const { body } = Object.keys(files).length > 0
    ? await postFiles(app, { query, variables, files }, as)
    : await app.post({ query, variables }, name === "Login" ? undefined : as);
  assert.equal(body.errors, undefined, JSON.stringify(body.errors));
  for (const value of Object.values<Any>(body.data)) {
    assert.notEqual(value, null);
    assert.deepEqual(value.errors ?? [], []);
  }
}

/** What the server does by itself, and new connections, also cost statements now and then: the least of so many turns counts. */
const TURNS = 4;

async function statementsOf(app: TestApp, act: () => Promise<unknown>): Promise<number> {
  let least = Infinity;
  for (let turn = 0; turn < TURNS; turn++) {
    const before = await countStatements(app);
    await act();
    least = Math.min(least, await countStatements(app) - before);
  }
  return least;
}
