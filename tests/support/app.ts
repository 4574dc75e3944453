/** The whole server under test, on port 0, and the people who use it. */
import { strict as assert } from "node:assert";
import { createUser } from "../../src/auth/accounts.ts";
import { startSession } from "../../src/auth/sessions.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { encodeId } from "../../src/lib/ids.ts";
import { type Parley, startParley } from "../../src/main.ts";
import { TEST_REDIS_URL } from "./databases.ts";
import { borrowDatabase } from "./file_database.ts";

export interface TestApp extends Api, AsyncDisposable {
  readonly parley: Parley;
  readonly app: Parley["app"];
  /** What it was started with. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A running server as its clients see it, wherever it runs. */
export interface Api {
  readonly url: string;
  readonly socketUrl: string;
  /** Runs an operation over HTTP and returns its data. Fails on top-level errors. */
  run<Data = Any>(query: string, variables?: object, as?: Person): Promise<Data>;
  /** Runs an operation over HTTP and returns the whole answer with its status. */
  post(body: object, as?: Person): Promise<Answer>;
  /** Registers a person with a name of their own. */
  signUp(name?: string): Promise<Person>;
  /** Makes a public room of which all these people are members; the first is its owner. */
  makeRoom(owner: Person, ...members: Person[]): Promise<TestRoom>;
  send(as: Person, room: TestRoom, content: string): Promise<{ id: string; content: string; cursor: string }>;
}

/** JSON of an answer, looked into by a test. */
// deno-lint-ignore no-explicit-any -- every test asks for another shape
export type Any = any;

export interface Person {
  readonly id: string;
  readonly username: string;
  readonly password: string;
  readonly token: string;
  readonly refreshToken: string;
}

export interface TestRoom {
  readonly id: string;
  readonly slug: string;
  /** Position at the time the room was made and everybody had joined. */
  readonly cursor: string;
}

export interface Answer {
  readonly status: number;
  readonly body: { readonly data?: Any; readonly errors?: Any[] };
}

/** Starts a server on an empty database; `env` overrides settings, and may point to another database. With `joins` it is one
 * more node beside that app, on the same database and Redis. */
export async function startApp(
  env: Record<string, string> = {},
  { joins }: { readonly joins?: TestApp } = {},
): Promise<TestApp> {
  await using stack = new AsyncDisposableStack();
  const database = joins === undefined && env.DATA_DIR === undefined
    ? stack.use(await borrowDatabase())
    : { config: {}, address: undefined };
  const settings = { ...database.config, ...redisConfig(), ...joins?.settings, ...env };
  const parley = stack.use(await startParley(testConfig(settings), { database: database.address }));
  const resources = stack.move();
  return {
    ...apiAt(parley.server.port),
    signUp: (name) => signUp(parley.app, name),
    parley,
    app: parley.app,
    settings,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A corner of the Redis of the suite, if it has one. */
export function redisConfig(): Record<string, string> {
  return TEST_REDIS_URL === null ? {} : { REDIS_URL: TEST_REDIS_URL, REDIS_PREFIX: `test_${crypto.randomUUID()}` };
}

/** Of everybody who is signed up. */
export const PASSWORD = "correct horse battery";
/** Made by the server from that password, which takes it 0.3 s each time. */
export const PASSWORD_HASH = "$scrypt$ln=15,r=8,p=3$EJL7DyxosV5xqSWazWdlDQ$M+1MfgOvq5QolKm54yRB8GGw0M6RTb3JZevHEkZbBE8";

/** Does what `register` does, with the hash that was made before. */
async function signUp(app: Parley["app"], name?: string): Promise<Person> {
  const username = inventUsername(name);
  const account = { username, email: `${username}@example.com`, displayName: username, passwordHash: PASSWORD_HASH };
  const user = await createUser(app, account);
  const { tokens } = await startSession(app, user, { ipAddress: "127.0.0.1", clientName: null });
  return {
    id: encodeId("user", user.id),
    username,
    password: PASSWORD,
    token: tokens.accessToken,
    refreshToken: tokens.refreshToken,
  };
}

function inventUsername(name = "person"): string {
  return `${name}_${crypto.randomUUID().slice(0, 8)}`;
}

export function testConfig(env: Record<string, string>): Config {
  return loadConfig({
    PORT: "0",
    LOG_LEVEL: "error",
    RATE_LIMITS: "off",
    DRAIN_SECONDS: "5",
    GRAPHIQL: "on",
    INTROSPECTION: "on",
    IMAGE_WORKERS: "0",
    ...env,
  });
}

export function apiAt(port: number): Api {
  const origin = `127.0.0.1:${port}`;
  const url = `http://${origin}/graphql`;
  const post = (body: object, as?: Person) => postJson(url, body, as);
  const run = async (query: string, variables: object = {}, as?: Person) => {
    const { body } = await post({ query, variables }, as);
    assert.equal(body.errors, undefined, JSON.stringify(body.errors));
    return body.data;
  };
  return {
    url,
    socketUrl: `ws://${origin}/graphql`,
    run,
    post,
    async signUp(name) {
      const username = inventUsername(name);
      const input = { username, password: PASSWORD, email: `${username}@example.com` };
      const { register } = await run(REGISTER, { input });
      assert.deepEqual(register.errors, []);
      const { tokens, viewer } = register;
      const { accessToken: token, refreshToken } = tokens;
      return { id: viewer.user.id, username, password: PASSWORD, token, refreshToken };
    },
    async makeRoom(owner, ...members) {
      const { createRoom: { room } } = await run(
        CREATE_ROOM,
        { input: { name: `Room ${crypto.randomUUID()}` } },
        owner,
      );
      for (const member of members) {
        const { joinRoom } = await run(JOIN_ROOM, { input: { roomId: room.id } }, member);
        assert.deepEqual(joinRoom.errors, []);
      }
      const { room: { eventCursor: cursor } } = await run(`query ($id: ID!) { room(id: $id) { eventCursor } }`, {
        id: room.id,
      }, owner);
      return { id: room.id, slug: room.slug, cursor };
    },
    async send(as, room, content) {
      const { sendMessage } = await run(SEND, { input: { roomId: room.id, content } }, as);
      assert.deepEqual(sendMessage.errors, []);
      return { ...sendMessage.messageEdge.node, cursor: sendMessage.messageEdge.cursor };
    },
  };
}

async function postJson(url: string, body: object, as?: Person): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json",
      ...(as ? { authorization: `Bearer ${as.token}` } : {}),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

const REGISTER = `mutation ($input: RegisterInput!) {
  register(input: $input) { tokens { accessToken refreshToken } viewer { user { id } } errors { code message path } }
}`;
const CREATE_ROOM =
  `mutation ($input: CreateRoomInput!) { createRoom(input: $input) { room { id slug } errors { code } } }`;
const JOIN_ROOM = `mutation ($input: JoinRoomInput!) { joinRoom(input: $input) { member { id } errors { code } } }`;
const SEND = `mutation ($input: SendMessageInput!) {
  sendMessage(input: $input) { messageEdge { cursor node { id content } } errors { code message path } }
}`;
