/** What the environment may say, and how the server refuses to start when it says something else. */
import { strict as assert } from "node:assert";
import { ConfigError, loadConfig } from "../src/config.ts";

const DATABASE_URL = "postgres://parley:hunter2@db.internal/parley";
const JWT_SECRET = "0123456789abcdef0123456789abcdef";

Deno.test("without any variable the server runs by itself, on the embedded database", () => {
  assert.deepEqual(loadConfig({}), {
    host: "127.0.0.1",
    port: 4000,
    publicUrl: "http://localhost:4000",
    dataDir: ".data",
    databaseUrl: null,
    redisUrl: null,
    redisPrefix: "parley",
    jwtSecret: null,
    accessTokenTtlSeconds: 900,
    refreshTokenTtlSeconds: 2_592_000,
    maxMessageLength: 4000,
    messageEditWindowSeconds: null,
    maxUploadBytes: 26_214_400,
    uploadQuotaBytes: 1_073_741_824,
    imageWorkers: 1,
    s3: null,
    maxConnections: 50_000,
    maxConnectionsPerUser: 20,
    maxConnectionsPerAddress: 2000,
    maxSubscriptionsPerConnection: 100,
    rateLimits: true,
    allowedOrigins: ["*"],
    trustedProxies: [],
    graphiql: true,
    introspection: true,
    eventRetentionDays: 30,
    drainSeconds: 20,
    logLevel: "info",
  });
});

Deno.test("every bad variable is named at once, with what it should be", () => {
  const bad = {
    PORT: ["70000", "expected 65535 or less"],
    PUBLIC_URL: ["parley.example.com", "expected a URL that begins with http:// or https://"],
    DATABASE_URL: ["mysql://db", "expected a URL that begins with postgres:// or postgresql://"],
    REDIS_URL: ["localhost:6379", "expected a URL that begins with redis:// or rediss://"],
    REDIS_PREFIX: ["a b", "expected letters, digits, dots, dashes or underscores"],
    JWT_SECRET: ["too short", "expected 32 bytes or more"],
    ACCESS_TOKEN_TTL_SECONDS: ["0", "expected 1 or more"],
    REFRESH_TOKEN_TTL_SECONDS: ["soon", "expected a whole number"],
    MAX_MESSAGE_LENGTH: ["-1", "expected a whole number"],
    MESSAGE_EDIT_WINDOW_SECONDS: ["0", "expected 1 or more"],
    MAX_CONNECTIONS: ["1e3", "expected a whole number"],
    MAX_CONNECTIONS_PER_USER: ["1.5", "expected a whole number"],
    MAX_SUBSCRIPTIONS_PER_CONNECTION: ["0x10", "expected a whole number"],
    MAX_UPLOAD_BYTES: ["2147483648", "expected 1073741824 or less"],
    UPLOAD_QUOTA_BYTES: ["1 GB", "expected a whole number"],
    IMAGE_WORKERS: ["65", "expected 64 or less"],
    S3_ENDPOINT: ["minio:9000", "expected a URL that begins with http:// or https://"],
    S3_BUCKET: ["", "required with the other S3_ variables"],
    S3_ACCESS_KEY_ID: ["", "required with the other S3_ variables"],
    S3_SECRET_ACCESS_KEY: ["", "required with the other S3_ variables"],
    RATE_LIMITS: ["yes", '"off"'],
    GRAPHIQL: ["2", '"off"'],
    INTROSPECTION: ["ON!", '"off"'],
    EVENT_RETENTION_DAYS: ["0", "expected 1 or more"],
    DRAIN_SECONDS: ["3601", "expected 3600 or less"],
    LOG_LEVEL: ["loud", '"debug"'],
  } as const;
  const names = Object.keys(bad) as (keyof typeof bad)[];
  const { problems, message } = refusalOf(Object.fromEntries(names.map((name) => [name, bad[name][0]])));
  assert.deepEqual(problems.map((problem) => problem.split(":")[0]).sort(), [...names].sort());
  for (const name of names) {
    const problem = problems.find((each) => each.startsWith(`${name}: `)) ?? "";
    assert.ok(problem.includes(bad[name][1]), `"${problem}" does not say: ${bad[name][1]}`);
    assert.ok(message.includes(problem), "the message has every problem");
  }
});

Deno.test("a refusal never shows a value: it may be a secret", () => {
  const env = {
    DATABASE_URL: "postgress://parley:hunter2@db.internal/parley",
    JWT_SECRET: "s3cr3t",
    PUBLIC_URL: "ftp://user:passw0rd@example.com",
    RATE_LIMITS: "s3cr3t switch",
    LOG_LEVEL: "s3cr3t level",
    PORT: "987654321",
    S3_ENDPOINT: "s3://s3cr3t@minio",
    S3_ACCESS_KEY_ID: "AKIAEXAMPLE",
    S3_SECRET_ACCESS_KEY: "s3cr3t key",
  };
  const { message } = refusalOf(env);
  for (const value of [...Object.values(env), "hunter2", "passw0rd", "s3cr3t"]) {
    assert.ok(!message.includes(value), `the message shows ${value}`);
  }
});

Deno.test("a server database needs a JWT_SECRET, so that all nodes accept the same tokens", () => {
  assert.match(refusalOf({ DATABASE_URL }).message, /^ {2}JWT_SECRET: required with DATABASE_URL/m);
  assert.equal(loadConfig({ DATABASE_URL, JWT_SECRET }).jwtSecret, JWT_SECRET);
});

Deno.test("a missing JWT_SECRET is reported together with everything else that is wrong", () => {
  const { message } = refusalOf({ DATABASE_URL, PORT: "no" });
  assert.match(message, /^ {2}PORT: /m);
  assert.match(message, /^ {2}JWT_SECRET: /m);
});

Deno.test("a JWT_SECRET is measured in bytes, not in characters", () => {
  assert.equal(loadConfig({ JWT_SECRET: "é".repeat(16) }).jwtSecret, "é".repeat(16));
  assert.match(refusalOf({ JWT_SECRET: "é".repeat(15) }).message, /JWT_SECRET: expected 32 bytes or more/);
});

Deno.test("switches are on, true or 1, and off, false or 0", () => {
  for (const text of ["on", "true", "1"]) assert.equal(loadConfig({ RATE_LIMITS: text }).rateLimits, true, text);
  for (const text of ["off", "false", "0"]) assert.equal(loadConfig({ RATE_LIMITS: text }).rateLimits, false, text);
});

Deno.test("a variable that is set but empty counts as unset", () => {
  const empty = { DATABASE_URL: "", JWT_SECRET: "", PORT: "", RATE_LIMITS: "", ALLOWED_ORIGINS: "", LOG_LEVEL: "" };
  assert.deepEqual(loadConfig(empty), loadConfig({}));
});

Deno.test("GraphiQL and introspection are open on the embedded database, and closed on a server unless asked for", () => {
  const production = { DATABASE_URL, JWT_SECRET };
  assert.deepEqual(opennessOf({}), [true, true]);
  assert.deepEqual(opennessOf(production), [false, false]);
  assert.deepEqual(opennessOf({ ...production, GRAPHIQL: "on", INTROSPECTION: "on" }), [true, true]);
  assert.deepEqual(opennessOf({ GRAPHIQL: "off", INTROSPECTION: "off" }), [false, false]);
});

Deno.test("lists are separated by commas, with or without spaces", () => {
  const { allowedOrigins, trustedProxies } = loadConfig({
    ALLOWED_ORIGINS: "https://a.example, https://b.example,",
    TRUSTED_PROXIES: "10.0.0.1,10.0.0.2",
  });
  assert.deepEqual(allowedOrigins, ["https://a.example", "https://b.example"]);
  assert.deepEqual(trustedProxies, ["10.0.0.1", "10.0.0.2"]);
});

Deno.test("files are kept in a bucket where all of its variables are set, in one region unless another is named", () => {
  const bucket = { S3_ENDPOINT: "https://s3.example.com/", S3_BUCKET: "parley", S3_ACCESS_KEY_ID: "id" };
  const s3 = { endpoint: "https://s3.example.com", bucket: "parley", region: "us-east-1" };
  const keys = { accessKeyId: "id", secretAccessKey: "key" };
  assert.deepEqual(loadConfig({ ...bucket, S3_SECRET_ACCESS_KEY: "key" }).s3, { ...s3, ...keys });
  const elsewhere = loadConfig({ ...bucket, S3_SECRET_ACCESS_KEY: "key", S3_REGION: "eu-west-3" }).s3;
  assert.deepEqual(elsewhere, { ...s3, ...keys, region: "eu-west-3" });
  assert.deepEqual(refusalOf(bucket).problems, ["S3_SECRET_ACCESS_KEY: required with the other S3_ variables"]);
  assert.equal(loadConfig({ S3_REGION: "eu-west-3" }).s3, null, "a region alone names no bucket");
});

Deno.test("the public URL follows the port, and never ends in a slash", () => {
  assert.equal(loadConfig({ PORT: "8080" }).publicUrl, "http://localhost:8080");
  assert.equal(loadConfig({ PUBLIC_URL: "https://chat.example.com/" }).publicUrl, "https://chat.example.com");
});

function opennessOf(env: Record<string, string>): boolean[] {
  const { graphiql, introspection } = loadConfig(env);
  return [graphiql, introspection];
}

function refusalOf(env: Record<string, string>): ConfigError {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("The configuration was accepted");
}
