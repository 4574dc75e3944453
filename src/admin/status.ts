/** How the server is: what everyone may know, and what only admins see. */
import denoJson from "../../deno.json" with { type: "json" };
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { ATTACHMENTS_PER_MESSAGE_MAX, type Config, ROOM_MEMBERS_MAX, TYPING_TIMEOUT_SECONDS } from "../config.ts";
import { PAGE_SIZE_MAX } from "../lib/pages.ts";
import type { NodeCounts } from "../live/leases.ts";
import { nodes } from "../live/nodes.ts";
import { within } from "../platform/timers.ts";
import { areImagesLate } from "../uploads/image_jobs.ts";
import { isAdmin } from "./accounts.ts";
import { storageChecks } from "./storage_checks.ts";

export type HealthStatus = "OK" | "DEGRADED" | "DOWN";

/** Milliseconds until a part that answers counts as slow. */
const SLOW_MS = 500;
/** Milliseconds that one that does not answer is waited for. */
const ANSWER_MS_MAX = 2_000;

export interface ServiceCheck {
  readonly name: string;
  readonly status: HealthStatus;
  /** Round trip; `null` where there was no answer. */
  readonly latencyMs: number | null;
}

/** What does not cost more than a field is there; the rest is asked for once, when a client selects it. */
export interface ServerStatus {
  readonly version: string;
  readonly time: Date;
  readonly startedAt: Date;
  readonly limits: ServerLimits;
  checkParts(): Promise<readonly ServiceCheck[]>;
  isForAdmin(): Promise<boolean>;
  countNodes(): Promise<NodeCounts>;
}

export interface ServerLimits {
  readonly maxMessageLength: number;
  readonly maxUploadBytes: number;
  readonly maxAttachmentsPerMessage: number;
  readonly maxRoomMembers: number;
  readonly maxPageSize: number;
  readonly messageEditWindowSeconds: number | null;
  readonly typingTimeoutSeconds: number;
}

export function readServerStatus(app: App, viewer: Viewer | null): ServerStatus {
  return {
    version: denoJson.version,
    time: new Date(),
    startedAt: new Date(performance.timeOrigin),
    limits: limitsOf(app.config),
    checkParts: lazily(() => checkParts(app)),
    isForAdmin: lazily(() => isAdmin(app, viewer)),
    countNodes: lazily(() => app.once(nodes).count()),
  };
}

/** As bad as its worst part. */
export function healthOf(checks: readonly ServiceCheck[]): HealthStatus {
  const worst = (["DOWN", "DEGRADED"] as const).find((status) => checks.some((check) => check.status === status));
  return worst ?? "OK";
}

function limitsOf(config: Config): ServerLimits {
  const { maxMessageLength, maxUploadBytes, messageEditWindowSeconds } = config;
  return {
    maxMessageLength,
    maxUploadBytes,
    messageEditWindowSeconds,
    maxAttachmentsPerMessage: ATTACHMENTS_PER_MESSAGE_MAX,
    maxRoomMembers: ROOM_MEMBERS_MAX,
    maxPageSize: PAGE_SIZE_MAX,
    typingTimeoutSeconds: TYPING_TIMEOUT_SECONDS,
  };
}

/** Asks the parts that are configured; the answer takes 2 s at most. */
export async function checkParts(app: App): Promise<readonly ServiceCheck[]> {
  const [database, storage, worker] = await Promise.all([checkDatabase(app), checkStorage(app), checkWorker(app)]);
  return [database, ...app.config.redisUrl === null ? [] : [checkRedis(app)], storage, worker];
}

async function checkDatabase({ database }: App): Promise<ServiceCheck> {
  const latencyMs = await database.check();
  if (latencyMs === null) return { name: "postgres", status: "DOWN", latencyMs };
  return { name: "postgres", status: latencyMs > SLOW_MS ? "DEGRADED" : "OK", latencyMs };
}

/** Without Redis the node goes on, and finds a little later what others did: never worse than degraded. */
function checkRedis({ bus }: App): ServiceCheck {
  return { name: "redis", status: bus.isHealthy ? "OK" : "DEGRADED", latencyMs: bus.latencyMs };
}

/** Without its files the node goes on with everything else: never worse than degraded. */
async function checkStorage(app: App): Promise<ServiceCheck> {
  const latencyMs = await app.once(storageChecks).ask();
  return { name: "storage", status: latencyMs === null || latencyMs > SLOW_MS ? "DEGRADED" : "OK", latencyMs };
}

/** Images that nobody makes keep nobody from talking: never worse than degraded. */
async function checkWorker(app: App): Promise<ServiceCheck> {
  const startMs = performance.now();
  const answer = app.database.unlessStalled(() => areImagesLate(app)).catch(() => null);
  const isLate = await within(ANSWER_MS_MAX, answer);
  const latencyMs = isLate === null ? null : performance.now() - startMs;
  return { name: "worker", status: isLate === false ? "OK" : "DEGRADED", latencyMs };
}

function lazily<T>(read: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => found ??= read();
}
