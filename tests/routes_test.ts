/** What the server answers beside the API: health, metrics, GraphiQL, and which origins may read it. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { startApp, type TestApp } from "./support/app.ts";
import { signUpAdmin } from "./support/admins.ts";
import { TEST_REDIS_URL } from "./support/databases.ts";
import { eventually } from "./support/eventually.ts";
import { S3Server } from "./support/s3_server.ts";
import { HandmadeUpgrade, PROTOCOL } from "./support/sockets.ts";
import { Wire } from "./support/wires.ts";

/** What `/readyz` says of the parts that the suite runs on. */
const PARTS = {
  postgres: "ready",
  ...TEST_REDIS_URL === null ? {} : { redis: "ready" },
  storage: "ready",
  worker: "ready",
};

const at = ({ url }: TestApp, path: string) => new URL(path, url).href;

Deno.test("/healthz says that the process lives, /readyz that it can serve", async () => {
  await using app = await startApp();
  const answers = { "/healthz": { status: "ok" }, "/readyz": { status: "ready", parts: PARTS } };
  for (const [path, answer] of Object.entries(answers)) {
    const response = await fetch(at(app, path));
    assert.deepEqual([response.status, await response.json()], [200, answer], path);
  }
});

Deno.test("while a node drains it lives but is not ready, until its last client has gone", async () => {
  await using app = await startApp();
  // A peer that never answers the closing frame keeps the drain waiting for as long as the test looks.
  using peer = await HandmadeUpgrade.send(app, { "Sec-WebSocket-Protocol": PROTOCOL });
  assert.equal(peer.status, 101);
  const drained = app.parley.server.drain();
  assert.equal(await peer.closeCode(), 1012);
  const ready = await fetch(at(app, "/readyz"));
  assert.deepEqual([ready.status, await ready.json()], [503, { status: "draining", parts: PARTS }]);
  const alive = await fetch(at(app, "/healthz"));
  assert.deepEqual([alive.status, await alive.json()], [200, { status: "ok" }]);
  using late = await HandmadeUpgrade.send(app, { "Sec-WebSocket-Protocol": PROTOCOL });
  assert.equal(late.status, 503, "so that a load balancer opens the socket on another node");
  peer.hangUp();
  await drained;
});

Deno.test({
  name: "while Redis is away a node is degraded, but ready: it serves, only a little later what others did",
  ignore: TEST_REDIS_URL === null,
  async fn() {
    const url = TEST_REDIS_URL ?? "";
    await using wire = await Wire.to(Number(new URL(url).port || 6379));
    await using app = await startApp({ REDIS_URL: wire.rewrite(url) });
    const admin = await signUpAdmin(app);
    const look = async () => {
      const response = await fetch(at(app, "/readyz"));
      const document = "{ serverStatus { status checks { name status } } }";
      return [response.status, await response.json(), (await app.run(document, {}, admin)).serverStatus];
    };
    const answer = (redis: "ready" | "degraded") => {
      const [all, part] = redis === "ready" ? ["OK", "OK"] : ["DEGRADED", "DEGRADED"];
      const checks = [["postgres", "OK"], ["redis", part], ["storage", "OK"], ["worker", "OK"]]
        .map(([name, status]) => ({ name, status }));
      return [200, { status: redis, parts: { postgres: "ready", redis, storage: "ready", worker: "ready" } }, {
        status: all,
        checks,
      }];
    };
    assert.deepEqual(await look(), answer("ready"));
    wire.refuse();
    await eventually("Redis is away", () => !app.app.bus.isHealthy);
    assert.deepEqual(await look(), answer("degraded"));
    wire.accept();
    await eventually("Redis is back", () => app.app.bus.isHealthy);
    assert.deepEqual(await look(), answer("ready"));
  },
});

Deno.test("while the storage of files fails a node is degraded, but ready: people talk on without files", async () => {
  await using app = await startApp();
  const look = async () => {
    const response = await fetch(at(app, "/readyz"));
    const { status, parts } = await response.json();
    return [response.status, status, parts.storage, parts.postgres];
  };
  const inTheWay = join(app.app.config.dataDir, "files");
  await Deno.writeTextFile(inTheWay, "where there should be a directory");
  assert.deepEqual(await look(), [200, "degraded", "degraded", "ready"]);
  await Deno.remove(inTheWay);
  await eventually("the storage is back", async () => (await look())[2] === "ready");
  assert.deepEqual(await look(), [200, "ready", "ready", "ready"]);
});

Deno.test("a bucket that can't be reached does not keep a node from its start, nor from being ready", async () => {
  await using server = await S3Server.start();
  await using wire = await Wire.to(server.port);
  wire.refuse();
  await using app = await startApp({ ...server.env, S3_ENDPOINT: wire.rewrite(server.config.endpoint) });
  const look = async () => {
    const response = await fetch(at(app, "/readyz"));
    return [response.status, (await response.json()).parts.storage];
  };
  assert.deepEqual(await look(), [200, "degraded"]);
  wire.accept();
  await eventually("the bucket answers", async () => (await look())[1] === "ready");
});

Deno.test("/metrics speaks the Prometheus text format and counts what happens", async () => {
  await using app = await startApp();
  const read = async () => {
    const response = await fetch(at(app, "/metrics"));
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    assert.match(text, /^# TYPE parley_sockets gauge$/m);
    return Number(/^parley_sql_statements_total (\d+)$/m.exec(text)?.[1]);
  };
  const before = await read();
  await app.run("{ publicRooms { nodes { id } } }");
  assert.ok(await read() > before);
});

Deno.test("an unknown path is a 404 that says where the API is", async () => {
  await using app = await startApp();
  for (const path of ["/nothing", "/graphql/", "/graphql/health", "/favicon.ico", "/%2e%2e/etc/passwd"]) {
    const response = await fetch(at(app, path));
    assert.equal(response.status, 404, path);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.match((await response.json()).error, /the API is at \/graphql$/);
  }
});

Deno.test("/ leads a browser to GraphiQL where there is one, and names the API where there is none", async () => {
  {
    await using app = await startApp({ GRAPHIQL: "on" });
    const response = await fetch(at(app, "/"), { redirect: "manual" });
    await response.body?.cancel();
    assert.deepEqual([response.status, response.headers.get("location")], [302, "/graphql"]);
  }
  await using app = await startApp({ GRAPHIQL: "off" });
  const response = await fetch(at(app, "/"), { redirect: "manual" });
  assert.deepEqual([response.status, await response.json()], [200, { name: "Parley", graphql: "/graphql" }]);
});

Deno.test("GraphiQL is one HTML page that loads nothing from elsewhere", async () => {
  await using app = await startApp({ GRAPHIQL: "on" });
  const response = await fetch(app.url, { headers: { accept: "text/html" } });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/html/);
  const page = await response.text();
  assert.match(page, /<!doctype html>/i);
  assert.match(page, /<title>Parley<\/title>/);
  const inlined = /(?<=<(script|style)[^>]*>).*?(?=<\/\1>)/gs;
  const loaded = [...page.replace(inlined, "").matchAll(/\b(?:src|href)\s*=\s*"(.{0,80})/g)].map(([, target]) =>
    target
  );
  assert.deepEqual(loaded.filter((target) => !target?.startsWith("data:")), []);
  const styles = page.match(/(?<=<style[^>]*>).*?(?=<\/style>)/gs) ?? [];
  for (const style of styles) assert.doesNotMatch(style, /@import|url\(["']?(?:https?:)?\/\//);
  assert.doesNotMatch(page, /unpkg\.com|jsdelivr\.net|esm\.sh|cdnjs\.|googleapis\.com/);
});

Deno.test("without GRAPHIQL a browser gets no page", async () => {
  await using app = await startApp({ GRAPHIQL: "off" });
  const response = await fetch(app.url, { headers: { accept: "text/html" } });
  assert.notEqual(response.status, 200);
  assert.doesNotMatch(await response.text(), /<html/i);
});

Deno.test("only allowed origins may read answers, and none is trusted with cookies", async () => {
  await using app = await startApp({ ALLOWED_ORIGINS: "https://chat.example, https://admin.example" });
  const asks = { "access-control-request-method": "POST", "access-control-request-headers": "authorization" };
  const ask = async (origin: string, method: string) => {
    const { status, headers, body } = await fetch(app.url, {
      method,
      headers: { origin, "content-type": "application/json", ...(method === "OPTIONS" ? asks : {}) },
      ...(method === "POST" ? { body: `{ "query": "{ __typename }" }` } : {}),
    });
    await body?.cancel();
    assert.ok(status === 200 || status === 204, `${status}`);
    assert.notEqual(headers.get("access-control-allow-credentials"), "true");
    return headers;
  };
  for (const method of ["OPTIONS", "POST"]) {
    for (const origin of ["https://chat.example", "https://admin.example"]) {
      const headers = await ask(origin, method);
      assert.equal(headers.get("access-control-allow-origin"), origin, method);
      assert.match(headers.get("vary") ?? "", /origin/i, "a cache must not give it to another origin");
      if (method === "OPTIONS") assert.match(headers.get("access-control-allow-headers") ?? "", /authorization/);
    }
    for (const origin of ["https://evil.example", "https://chat.example.evil.example", "http://chat.example", "null"]) {
      const allowed = (await ask(origin, method)).get("access-control-allow-origin");
      assert.ok(allowed !== origin && allowed !== "*", `${method} from ${origin}: ${allowed}`);
    }
  }
});

Deno.test("by default every origin may read answers: tokens travel in headers, not in cookies", async () => {
  await using app = await startApp();
  const response = await fetch(app.url, {
    method: "POST",
    headers: { origin: "https://any.example", "content-type": "application/json" },
    body: `{ "query": "{ __typename }" }`,
  });
  await response.body?.cancel();
  assert.ok(["*", "https://any.example"].includes(response.headers.get("access-control-allow-origin") ?? ""));
  assert.notEqual(response.headers.get("access-control-allow-credentials"), "true");
});
