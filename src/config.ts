/** Settings from the environment, read and checked once. The only file that looks at `Deno.env`. */
import { isIP } from "node:net";
import { z } from "zod";
import { StartError } from "./errors.ts";

const flag = z.enum(["on", "off", "true", "false", "1", "0"]).transform((text) => ["on", "true", "1"].includes(text));
const count = (min: number, max: number) =>
  z.string().regex(/^\d+$/, "expected a whole number").transform(Number).pipe(
    z.number().min(min, `expected ${min} or more`).max(max, `expected ${max} or less`),
  );
const url = (...protocols: string[]) =>
  z.string().refine(
    (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
    `expected a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`,
  );
const list = z.string().transform((text) => text.split(",").map((item) => item.trim()).filter(Boolean));

function isAddressOrSubnet(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const bitsMax = { 4: 32, 6: 128 }[isIP(address)];
  return bitsMax !== undefined && rest.length === 0 &&
    (bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= bitsMax));
}

/** A day: tokens are checked without the database, so they must not live long. */
export const ACCESS_TOKEN_TTL_SECONDS_MAX = 86_400;

/** Limits that are no settings, but that clients are told. */
export const ATTACHMENTS_PER_MESSAGE_MAX = 10;
/** As in the constraint `rooms_full`. */
export const ROOM_MEMBERS_MAX = 5_000;
/** How long one counts as typing after the last word of it. */
export const TYPING_TIMEOUT_SECONDS = 6;

/** All of them, or none. */
const S3_TOGETHER = ["S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"] as const;

const Environment = z.object({
  HOST: z.string().min(1).default("127.0.0.1"),
  PORT: count(0, 65_535).default(4000),
  PUBLIC_URL: url("http:", "https:").optional(),
  DATA_DIR: z.string().min(1).default(".data"),
  DATABASE_URL: url("postgres:", "postgresql:").optional(),
  REDIS_URL: url("redis:", "rediss:").optional(),
  REDIS_PREFIX: z.string().regex(/^[\w.-]{1,100}$/, "expected letters, digits, dots, dashes or underscores")
    .default("parley"),
  JWT_SECRET: z.string().refine((text) => new TextEncoder().encode(text).length >= 32, "expected 32 bytes or more")
    .optional(),
  ACCESS_TOKEN_TTL_SECONDS: count(1, ACCESS_TOKEN_TTL_SECONDS_MAX).default(900),
  REFRESH_TOKEN_TTL_SECONDS: count(60, 31_536_000).default(2_592_000),
  MAX_MESSAGE_LENGTH: count(1, 100_000).default(4000),
  MESSAGE_EDIT_WINDOW_SECONDS: count(1, 31_536_000).optional(),
  MAX_UPLOAD_BYTES: count(1, 1_073_741_824).default(26_214_400),
  UPLOAD_QUOTA_BYTES: count(1, Number.MAX_SAFE_INTEGER).default(1_073_741_824),
  IMAGE_WORKERS: count(0, 64).default(1),
  S3_ENDPOINT: url("http:", "https:").optional(),
  S3_BUCKET: z.string().min(1).optional(),
  S3_REGION: z.string().min(1).default("us-east-1"),
  S3_ACCESS_KEY_ID: z.string().min(1).optional(),
  S3_SECRET_ACCESS_KEY: z.string().min(1).optional(),
  MAX_CONNECTIONS: count(1, 1_000_000).default(50_000),
  MAX_CONNECTIONS_PER_USER: count(1, 10_000).default(20),
  MAX_CONNECTIONS_PER_ADDRESS: count(1, 1_000_000).default(2000),
  MAX_SUBSCRIPTIONS_PER_CONNECTION: count(1, 10_000).default(100),
  RATE_LIMITS: flag.default(true),
  ALLOWED_ORIGINS: list.refine(
    (origins) =>
      origins.every((origin) => origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin)),
    "expected * or origins like https://app.example.com, without a path",
  ).default(["*"]),
  TRUSTED_PROXIES: list.refine(
    (proxies) => proxies.every(isAddressOrSubnet),
    "expected addresses or subnets like 10.0.0.0/8",
  )
    .default([]),
  GRAPHIQL: flag.optional(),
  INTROSPECTION: flag.optional(),
  EVENT_RETENTION_DAYS: count(1, 3650).default(30),
  DRAIN_SECONDS: count(0, 3600).default(20),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

/** A bucket of an S3-compatible storage. */
export interface S3Config {
  /** Without a trailing slash; buckets are paths below it. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Config {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** What clients call this server; without a trailing slash. */
  readonly publicUrl: string;
  readonly dataDir: string;
  /** `null`: the embedded database in `dataDir`. */
  readonly databaseUrl: string | null;
  /** `null`: no other node. */
  readonly redisUrl: string | null;
  /** Begins the names of all channels and keys in Redis. */
  readonly redisPrefix: string;
  /** `null`: generated and kept in `dataDir`. */
  readonly jwtSecret: string | null;
  readonly accessTokenTtlSeconds: number;
  readonly refreshTokenTtlSeconds: number;
  /** Characters. */
  readonly maxMessageLength: number;
  /** `null`: a message may be edited for ever. */
  readonly messageEditWindowSeconds: number | null;
  /** Of one file. */
  readonly maxUploadBytes: number;
  /** Of all files of one user together. */
  readonly uploadQuotaBytes: number;
  /** Processes for images that this server starts. */
  readonly imageWorkers: number;
  /** `null`: files in `dataDir`. */
  readonly s3: S3Config | null;
  readonly maxConnections: number;
  readonly maxConnectionsPerUser: number;
  /** An IPv6 address counts as its /64. */
  readonly maxConnectionsPerAddress: number;
  readonly maxSubscriptionsPerConnection: number;
  readonly rateLimits: boolean;
  readonly allowedOrigins: readonly string[];
  readonly trustedProxies: readonly string[];
  readonly graphiql: boolean;
  readonly introspection: boolean;
  readonly eventRetentionDays: number;
  readonly drainSeconds: number;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** Names every bad variable at once, never its value: it may be a secret. */
export class ConfigError extends StartError {
  constructor(readonly problems: readonly string[]) {
    super(["Cannot start: the configuration is not valid", ...problems.map((problem) => `  ${problem}`)].join("\n"));
  }
}

/** Throws `ConfigError`. Variables that are set but empty count as unset, as in most env files. */
export function loadConfig(env: Readonly<Record<string, string>> = Deno.env.toObject()): Config {
  const parsed = Environment.safeParse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== "")));
  const problems = parsed.error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? [];
  if (env.DATABASE_URL && !env.JWT_SECRET) {
    problems.push(
      "JWT_SECRET: required with DATABASE_URL, so that all nodes accept the same tokens; try `openssl rand -hex 32`",
    );
  }
  const absent = S3_TOGETHER.filter((name) => !env[name]);
  if (absent.length > 0 && absent.length < S3_TOGETHER.length) {
    problems.push(...absent.map((name) => `${name}: required with the other S3_ variables`));
  }
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  const { data } = parsed;
  const embedded = data.DATABASE_URL === undefined;
  return {
    host: data.HOST,
    port: data.PORT,
    publicUrl: (data.PUBLIC_URL ?? `http://localhost:${data.PORT}`).replace(/\/+$/, ""),
    dataDir: data.DATA_DIR,
    databaseUrl: data.DATABASE_URL ?? null,
    redisUrl: data.REDIS_URL ?? null,
    redisPrefix: data.REDIS_PREFIX,
    jwtSecret: data.JWT_SECRET ?? null,
    accessTokenTtlSeconds: data.ACCESS_TOKEN_TTL_SECONDS,
    refreshTokenTtlSeconds: data.REFRESH_TOKEN_TTL_SECONDS,
    maxMessageLength: data.MAX_MESSAGE_LENGTH,
    messageEditWindowSeconds: data.MESSAGE_EDIT_WINDOW_SECONDS ?? null,
    maxUploadBytes: data.MAX_UPLOAD_BYTES,
    uploadQuotaBytes: data.UPLOAD_QUOTA_BYTES,
    imageWorkers: data.IMAGE_WORKERS,
    s3: readS3(data),
    maxConnections: data.MAX_CONNECTIONS,
    maxConnectionsPerUser: data.MAX_CONNECTIONS_PER_USER,
    maxConnectionsPerAddress: data.MAX_CONNECTIONS_PER_ADDRESS,
    maxSubscriptionsPerConnection: data.MAX_SUBSCRIPTIONS_PER_CONNECTION,
    rateLimits: data.RATE_LIMITS,
    allowedOrigins: data.ALLOWED_ORIGINS,
    trustedProxies: data.TRUSTED_PROXIES,
    graphiql: data.GRAPHIQL ?? embedded,
    introspection: data.INTROSPECTION ?? embedded,
    eventRetentionDays: data.EVENT_RETENTION_DAYS,
    drainSeconds: data.DRAIN_SECONDS,
    logLevel: data.LOG_LEVEL,
  };
}

/** What Deno itself needs to run another program: where its cache is. No setting of ours, and no secret. */
export function denoEnv(): Record<string, string> {
  const names = ["HOME", "DENO_DIR", "XDG_CACHE_HOME"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

function readS3(data: z.infer<typeof Environment>): S3Config | null {
  const { S3_ENDPOINT: endpoint, S3_BUCKET: bucket, S3_REGION: region } = data;
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = data;
  if (!endpoint || !bucket || !accessKeyId || !secretAccessKey) return null;
  return { endpoint: endpoint.replace(/\/+$/, ""), bucket, region, accessKeyId, secretAccessKey };
}
