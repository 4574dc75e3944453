/** One conversation, the same for every client library: sign up, sign in, make a room, write, page back, follow, and lose
 * the connection again and again. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./app.ts";
import { ROOM_EVENTS } from "./follow.ts";
import { inTime } from "./eventually.ts";
import { assertGapless } from "./gapless.ts";
import { done } from "./mutations.ts";
import { Wire } from "./wires.ts";

/** A client library as an app would set it up. */
export interface ChatClient extends AsyncDisposable {
  /** Runs a query or mutation and returns its data. */
  run(document: string, variables: object): Promise<Any>;
  /** Hands over every result of the subscription until the returned function is called. */
  follow(document: string, variables: FollowVariables, onData: (data: Any) => void): () => void;
}

export interface FollowVariables {
  readonly roomId: string;
  readonly after: string;
}

export interface Setup {
  readonly url: string;
  readonly socketUrl: string;
  /** The access token now; empty before anybody has signed in. */
  token(): string;
}

const ROUNDS = 3;

/** Has the whole conversation with the client that `open` sets up. */
export async function chatWith(open: (setup: Setup) => ChatClient): Promise<void> {
  await using app = await startApp();
  await using wire = await Wire.to(app.parley.server.port);
  let token = "";
  await using client = open({ url: wire.url, socketUrl: wire.socketUrl, token: () => token });
  const mutate = (name: string, input: object, select: string) =>
    done({ run: (document, variables = {}) => client.run(document, variables) }, name, input, undefined, select);

  const username = `ann_${crypto.randomUUID().slice(0, 8)}`;
  const password = "correct horse battery";
  await mutate("register", { username, password, email: `${username}@example.com` }, "viewer { id }");
  token = (await mutate("login", { login: username, password }, "tokens { accessToken }")).tokens.accessToken;
  const { room } = await mutate("createRoom", { name: "Kitchen" }, "room { id }");
  const bob = await app.signUp("bob");
  await done(app, "joinRoom", { roomId: room.id }, bob);

  const written: string[] = [];
  for (const content of ["one", "two", "three", "four", "five", "six", "seven"]) {
    const { message } = await mutate("sendMessage", { roomId: room.id, content }, "message { content }");
    written.push(message.content);
  }
  assert.deepEqual(await readBack(client, room.id), written);

  const { room: { eventCursor: after } } = await client.run(POSITION, { id: room.id });
  const arrivals = new Arrivals();
  const stop = client.follow(ROOM_EVENTS, { roomId: room.id, after }, ({ roomEvents }) => arrivals.add(roomEvents));
  let sent = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await app.send(bob, room, `while they look ${++sent}`);
    await arrivals.until(sent);
    wire.cut();
    await app.send(bob, room, `while they are away ${++sent}`);
  }
  await arrivals.until(sent);
  await mutate("sendMessage", { roomId: room.id, content: "I am back" }, "message { id }");
  await arrivals.until(++sent);
  stop();
  const from = Number(after.split(".")[1]) + 1;
  assertGapless(arrivals.events, from, from + sent - 1);
}

/** All messages of the room, oldest first, read from the end in pages of three. */
async function readBack(client: ChatClient, id: string): Promise<string[]> {
  const contents: string[] = [];
  let before: string | null = null;
  do {
    const { room: { messages } }: Any = await client.run(HISTORY, { id, before });
    contents.unshift(...messages.nodes.map(({ content }: Any) => content));
    before = messages.pageInfo.hasPreviousPage ? messages.pageInfo.startCursor : null;
  } while (before !== null);
  return contents;
}

/** What has come so far, and waiting for more. */
export class Arrivals {
  readonly events: Any[] = [];
  #change = Promise.withResolvers<void>();

  add({ events }: Any): void {
    this.events.push(...events);
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers();
    resolve();
  }

  async until(count: number): Promise<void> {
    while (this.events.length < count) await inTime(`event ${count}`, this.#change.promise);
  }
}

const HISTORY = `query ($id: ID!, $before: String) {
  room(id: $id) { id messages(last: 3, before: $before) { nodes { id content } pageInfo { hasPreviousPage startCursor } } }
}`;
const POSITION = `query ($id: ID!) { room(id: $id) { id eventCursor } }`;
