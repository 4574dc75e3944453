/** Promises of `docker-compose.yml`: its nginx in front of two nodes, as it is shipped but for addresses and files. */
import { strict as assert } from "node:assert";
import { createClient } from "graphql-ws";
import { type Any, type Api, type Person, redisConfig, type TestRoom } from "./support/app.ts";
import { Arrivals } from "./support/chats.ts";
import { createTestDatabase, isClustered } from "./support/databases.ts";
import { readDeployment } from "./support/deployments.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { EventStream } from "./support/event_streams.ts";
import { ROOM_EVENTS, seqOf } from "./support/follow.ts";
import { assertGapless } from "./support/gapless.ts";
import { Host } from "./support/hosts.ts";
import { isNginxInstalled, Nginx } from "./support/nginx.ts";
import { resuming } from "./support/resuming.ts";
import { sendUntilAcknowledged } from "./support/sending.ts";
import { HandmadeUpgrade } from "./support/sockets.ts";
import { SlowPut } from "./support/transfers.ts";

interface Site {
  readonly api: Api;
  readonly nodes: readonly Host[];
}

test("clients behind nginx miss nothing while one node after the other restarts", async ({ api, nodes }) => {
  const [alice, bob] = [await api.signUp("alice"), await api.signUp("bob")];
  const room = await api.makeRoom(alice, bob);
  await using socket = followBySocket(api, bob, room);
  await using stream = followByEventStream(api, bob, room);
  const followers = [socket, stream];

  await using sender = keepSending(api, alice, room);
  const { acknowledged } = sender;
  for (const node of nodes) {
    await node.restart();
    const count = acknowledged.size + 1;
    for (const { arrivals } of followers) await arrivals.until(count);
  }
  await sender.stop();

  const from = seqOf(room) + 1;
  for (const { arrivals, breaks } of followers) {
    await arrivals.until(acknowledged.size);
    assertGapless(arrivals.events, from, from + acknowledged.size - 1);
    assert.deepEqual(arrivals.events.map(({ message }) => [message.content, message.id]), [...acknowledged]);
    assert.ok(breaks.length > 0, "each was on one of the nodes");
  }
  assert.ok(socket.breaks.includes(1012), `it hears why: ${socket.breaks}`);
});

test("an event stream comes through nginx at once, batch by batch", async ({ api }) => {
  const alice = await api.signUp("alice");
  const room = await api.makeRoom(alice);
  await using stream = await EventStream.follow(api, alice, room, room.cursor);
  const { data } = await inTime("the first batch", stream.next());
  assert.deepEqual(data.roomEvents, { cursor: room.cursor, events: [] });
  await api.send(alice, room, "Hello");
  assert.equal((await inTime("the event", stream.take(1))).length, 1);
});

test("a node knows a client by its own address, not by nginx's or by one that it claims", async ({ api }) => {
  using client = Deno.createHttpClient({ localAddress: "127.0.0.2" });
  const ask = async (query: string, headers: Record<string, string> = {}): Promise<Any> => {
    const body = JSON.stringify({ query });
    const type = { "content-type": "application/json", "x-forwarded-for": "203.0.113.9" };
    return (await fetch(api.url, { method: "POST", headers: { ...type, ...headers }, body, client })).json();
  };
  const name = `alice_${crypto.randomUUID().slice(0, 8)}`;
  const input = `{ username: "${name}", email: "${name}@example.com", password: "correct horse battery" }`;
  const { data } = await ask(`mutation { register(input: ${input}) { tokens { accessToken } } }`);
  const authorization = `Bearer ${data.register.tokens.accessToken}`;
  const { data: { viewer } } = await ask(`{ viewer { sessions { ipAddress } } }`, { authorization });
  assert.deepEqual(viewer.sessions, [{ ipAddress: "127.0.0.2" }]);
});

test("nginx gives out no metrics, and lets the largest upload through to a node", async ({ api }) => {
  const metrics = await fetch(new URL("/metrics", api.url));
  assert.equal(metrics.status, 404);
  await metrics.body?.cancel();
  const body = new Uint8Array(26_214_400);
  const headers = { "content-type": "application/json" };
  const answer = await fetch(api.url, { method: "POST", headers, body });
  const { errors } = await answer.json(); // the node's word: nginx does not speak JSON
  assert.ok(errors.length > 0);
});

testNginx("a mutation that may have reached a node is not repeated by nginx on the other, a query is", async () => {
  for (const [method, tries] of [["POST", 1], ["GET", 2]] as const) {
    using first = hangUp();
    using second = hangUp();
    await using nginx = await Nginx.before([first.port, second.port]);
    const { status, body } = await fetch(nginx.api.url, { method, ...(method === "POST" ? { body: "{}" } : {}) });
    await body?.cancel();
    assert.deepEqual([status, first.requests() + second.requests()], [502, tries], method);
  }
});

testNginx("a mutation that a node refuses to hear goes to the other", async () => {
  const away = hangUp();
  away[Symbol.dispose]();
  await using node = answer(200);
  await using nginx = await Nginx.before([away.port, node.addr.port]);
  for (let n = 0; n < 4; n++) {
    assert.equal((await nginx.api.post({})).status, 200);
  }
});

testNginx("an announced file comes to the node as it is sent, and may be larger than any request", async () => {
  const byteSize = 256 * 1024 * 1024;
  let received = 0;
  const count = async ({ body }: Request) => {
    for await (const chunk of body ?? []) received += chunk.length;
    return Response.json({}, { status: 201 });
  };
  await using node = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, count);
  await using nginx = await Nginx.before([node.addr.port, node.addr.port]);
  const url = new URL("/uploads/attachment", nginx.api.url).href;
  using sending = await SlowPut.begin({ url, byteSize });
  await sending.send(new Uint8Array(1000));
  await eventually("the node has what was sent by now", () => received === 1000);
  await sending.send(new Uint8Array(byteSize - 1000));
  assert.deepEqual([(await sending.answer()).status, received], [201, byteSize]);
});

testNginx("a node that refuses sockets because it drains is passed over, one that is only busy is not", async () => {
  await using draining = answer(503);
  await using node = answer(200);
  await using nginx = await Nginx.before([draining.addr.port, node.addr.port]);
  for (let n = 0; n < 3; n++) {
    using upgrade = await HandmadeUpgrade.send(nginx.api, {});
    assert.equal(upgrade.status, 200);
  }
  await using busy = answer(503);
  await using front = await Nginx.before([busy.addr.port, busy.addr.port]);
  for (const method of ["GET", "GET", "POST", "POST", "GET"]) {
    const { status, body } = await fetch(front.api.url, {
      method,
      headers: method === "POST" ? { upgrade: "websocket" } : {},
    });
    await body?.cancel();
    assert.equal(status, 503, "the word of the node");
  }
});

Deno.test("nginx and the nodes name each other by the addresses that they are given", async () => {
  const { nginxConfig, addresses, valueOf } = await readDeployment();
  const { nginx, ...nodes } = addresses;
  const upstreams = [...nginxConfig.matchAll(/server ([\d.]+):4000 /g)].map(([, address]) => address);
  assert.deepEqual(upstreams, Object.values(nodes));
  assert.equal(valueOf("TRUSTED_PROXIES"), `${nginx},`);
});

Deno.test("a deployment does not start with a secret that others know", async () => {
  const { text } = await readDeployment();
  for (const name of ["JWT_SECRET", "POSTGRES_PASSWORD"]) {
    const uses = [...text.matchAll(new RegExp(`\\$\\{${name}[^}]*`, "g"))].map(([use]) => use);
    assert.ok(uses.length > 0);
    assert.deepEqual(uses.filter((use) => !use.startsWith(`\${${name}:?`)), []);
  }
});

function answer(status: number): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => Response.json({}, { status }));
}

function hangUp(): Disposable & { readonly port: number; requests(): number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let requests = 0;
  (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(4096));
      requests++;
      connection.close();
    }
  })();
  return { port: listener.addr.port, requests: () => requests, [Symbol.dispose]: () => listener.close() };
}

interface Follower extends AsyncDisposable {
  readonly arrivals: Arrivals;
  /** Why it had to begin again. */
  readonly breaks: readonly Any[];
}

function followBySocket(api: Api, as: Person, room: TestRoom): Follower {
  const client = resuming(createClient({
    url: api.socketUrl,
    connectionParams: { authorization: `Bearer ${as.token}` },
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: () => Promise.resolve(),
  }));
  const [arrivals, breaks] = [new Arrivals(), [] as Any[]];
  client.on("closed", (event) => breaks.push((event as CloseEvent).code));
  client.subscribe<Any>({ query: ROOM_EVENTS, variables: { roomId: room.id, after: room.cursor } }, {
    next: ({ data }) => arrivals.add(data.roomEvents),
    error: (error) => assert.fail(JSON.stringify(error)),
    complete: () => {},
  });
  return { arrivals, breaks, [Symbol.asyncDispose]: async () => await client.dispose() };
}

function followByEventStream(api: Api, as: Person, room: TestRoom): Follower {
  const [arrivals, breaks] = [new Arrivals(), [] as Any[]];
  const over = new AbortController();
  const follow = async () => {
    let { cursor } = room;
    while (!over.signal.aborted) {
      await using stream = await EventStream.follow(api, as, room, cursor);
      const hangUp = () => void stream[Symbol.asyncDispose]();
      over.signal.addEventListener("abort", hangUp);
      for await (const { data } of stream.results) {
        if (!data) break;
        cursor = data.roomEvents.cursor;
        arrivals.add(data.roomEvents);
      }
      over.signal.removeEventListener("abort", hangUp);
      breaks.push("ended");
    }
  };
  const following = follow();
  return {
    arrivals,
    breaks,
    async [Symbol.asyncDispose]() {
      over.abort();
      await following;
    },
  };
}

/** Sends numbered messages, one after the other, until it is stopped. */
function keepSending(
  api: Api,
  as: Person,
  { id: roomId }: TestRoom,
): AsyncDisposable & { readonly acknowledged: ReadonlyMap<string, string>; stop(): Promise<void> } {
  const acknowledged = new Map<string, string>();
  // nginx, which got no answer, speaks HTML
  const client = { api: () => api, as, mayFail: (error: unknown) => error instanceof SyntaxError };
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      const content = String(acknowledged.size);
      acknowledged.set(content, await sendUntilAcknowledged(client, { roomId, content }));
    }
  })();
  const stop = async () => {
    isOver = true;
    await sending;
  };
  return { acknowledged, stop, [Symbol.asyncDispose]: stop };
}

/** Two nodes with nginx in front. */
function test(promise: string, check: (site: Site) => Promise<void>): void {
  const lack = isClustered ? "" : " (ignored: TEST_DATABASE_URL or TEST_REDIS_URL is not set)";
  testNginx(`${promise}${lack}`, async () => {
    await using database = await createTestDatabase();
    const { valueOf, addresses: { nginx: proxy = "" } } = await readDeployment();
    const TRUSTED_PROXIES = valueOf("TRUSTED_PROXIES").replace(proxy, "127.0.0.1");
    const env = { ...database.config, ...redisConfig(), TRUSTED_PROXIES, DRAIN_SECONDS: "5" };
    await using one = await Host.start(env);
    await using other = await Host.start(env);
    await using nginx = await Nginx.before([one.port, other.port]);
    await check({ api: nginx.api, nodes: [one, other] });
  }, !isClustered);
}

function testNginx(promise: string, fn: () => Promise<void>, isIgnored = false): void {
  const lack = isNginxInstalled ? "" : " (ignored: nginx is not installed)";
  Deno.test({ name: `${promise}${lack}`, ignore: isIgnored || !isNginxInstalled, fn });
}
