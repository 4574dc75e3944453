/** Rate limits on operations. One table names them all; rate-limiter-flexible counts. */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { AppError } from "../errors.ts";

/** `points` operations in any `seconds`, for one key. */
export const LIMITS = {
  /** By account and address: guessing one password. */
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

export function createLimits(enabled: boolean): Limits {
  if (!enabled) return { take: () => Promise.resolve(), [Symbol.dispose]: () => {} };
  const limiters = new Map(
    Object.entries(LIMITS).map(([name, { points, seconds }]) => [
      name,
      new RateLimiterMemory({ points, duration: seconds, keyPrefix: name }),
    ]),
  );
  return {
    async take(name, key) {
      try {
        await limiters.get(name)?.consume(key);
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal;
        const retryAfterMs = Math.max(1, refusal.msBeforeNext);
        throw new AppError(
          "RATE_LIMITED",
          `Cannot do this now: too many tries, wait ${Math.ceil(retryAfterMs / 1000)} s`,
          {
            retryAfterMs,
          },
        );
      }
    },
    [Symbol.dispose]() {
      // Each counted key holds a timer of its own.
      for (const limiter of limiters.values()) for (const { key } of limiter.dump().storage) limiter.delete(key);
    },
  };
}
