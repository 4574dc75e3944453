/** Rate limits on operations. One table names them all; rate-limiter-flexible counts. */
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { AppError } from "../errors.ts";
import type { Redis } from "./redis.ts";

/** `points` operations in any `seconds`, for one key. */
export const LIMITS = {
  /** By account and address (of IPv6 the /64): guessing one password. */
  loginAccount: { points: 10, seconds: 300 },
  /** By account: guessing it from many places, without locking its owner out after ten tries of somebody else. */
  loginAccountTotal: { points: 100, seconds: 300 },
  /** By address: trying many accounts. */
  loginAddress: { points: 60, seconds: 300 },
  registerAddress: { points: 30, seconds: 3600 },
  refreshAddress: { points: 120, seconds: 300 },
  /** By user: `changePassword` checks a password too. */
  password: { points: 10, seconds: 300 },
  /** By user: each block is kept in memory while one of the two is connected. */
  block: { points: 120, seconds: 3600 },
  createRoom: { points: 30, seconds: 3600 },
  /** By user: new direct conversations. */
  openDirectRoom: { points: 60, seconds: 3600 },
  /** By user: each may invite up to 50. */
  invite: { points: 60, seconds: 3600 },
  /** By user and room. */
  send: { points: 30, seconds: 10 },
  /** By user and room: reactions and pins. */
  react: { points: 60, seconds: 10 },
  /** By user: requests with files, and files that are announced. */
  upload: { points: 60, seconds: 60 },
  /** By user: requests that send bytes of announced files; one that broke off comes back at once. */
  transfer: { points: 600, seconds: 60 },
  /** By user: a search reads up to 10,000 messages. */
  search: { points: 60, seconds: 60 },
  /** By user: all streams that the quotas allow may come back at once. */
  subscribe: { points: 2_400, seconds: 60 },
  /** By user: in a busy room every poll is answered at once. */
  poll: { points: 1_200, seconds: 60 },
  /** By user: each change is told to all who share a room. */
  presence: { points: 30, seconds: 60 },
  /** By user: starting and stopping again and again. */
  typing: { points: 60, seconds: 10 },
} as const;

export type LimitName = keyof typeof LIMITS;

export interface Limits extends Disposable {
  /** Counts one operation of `key`. Throws RATE_LIMITED with `retryAfterMs`. */
  take(name: LimitName, key: string): Promise<void>;
}

/** Where several nodes count together. */
export interface SharedStore {
  readonly client: Redis;
  /** Begins the names of all keys. */
  readonly prefix: string;
  /** Whether it is worth asking. */
  isThere(): boolean;
}

/** Every node counts what it sees, and with a shared store also what all of them see: without the store, which may go away
 * at any time, each node goes on with its own count. */
export function createLimits(isEnabled: boolean, shared: SharedStore | null): Limits {
  if (!isEnabled) return { take: () => Promise.resolve(), [Symbol.dispose]: () => {} };
  const own = mapLimits((options) => new RateLimiterMemory(options));
  const common = shared && mapLimits((options) =>
    new RateLimiterRedis({
      ...options,
      keyPrefix: `${shared.prefix}:limit:${options.keyPrefix}`,
      storeClient: shared.client,
    })
  );
  return {
    async take(name, key) {
      await consume(own[name], key);
      if (common === null || !shared?.isThere()) return;
      await consume(common[name], key).catch((error) => {
        if (error instanceof AppError) throw error; // anything else: the store has gone just now
        // The other end of the connection may be gone without a word, which TCP takes a quarter of an hour to find out.
        const isSilent = error.message === "Command timed out" && shared.client.status === "ready";
        if (isSilent) shared.client.disconnect(true);
      });
    },
    [Symbol.dispose]() {
      // Each counted key holds a timer of its own.
      for (const limiter of Object.values(own)) for (const { key } of limiter.dump().storage) limiter.delete(key);
    },
  };
}

interface LimiterOptions {
  readonly keyPrefix: string;
  readonly points: number;
  readonly duration: number;
}

function mapLimits<Limiter>(create: (options: LimiterOptions) => Limiter): Record<LimitName, Limiter> {
  const limiters = Object.entries(LIMITS).map(([name, { points, seconds }]) =>
    [name, create({ keyPrefix: name, points, duration: seconds })] as const
  );
  return Object.fromEntries(limiters) as Record<LimitName, Limiter>;
}

async function consume(limiter: RateLimiterAbstract, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refusal) {
    if (!(refusal instanceof RateLimiterRes)) throw refusal;
    const retryAfterMs = Math.max(1, refusal.msBeforeNext);
    const state = `too many tries, wait ${Math.ceil(retryAfterMs / 1000)} s`;
    throw new AppError("RATE_LIMITED", `Cannot do this now: ${state}`, { retryAfterMs });
  }
}
