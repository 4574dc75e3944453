/** Signed-in devices: a session lives as long as its refresh tokens rotate, and ends once, for good. */
import { createHash, randomBytes } from "node:crypto";
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { addressKey } from "../lib/addresses.ts";
import { newId } from "../lib/ids.ts";
import type { Fragment } from "../platform/sql.ts";
import type { AccountRole } from "../users/users.ts";
import { announceEndedSessions } from "./revocations.ts";
import { type AccessToken, signAccessToken } from "./tokens.ts";
import type { Viewer } from "./viewer.ts";

/** A client that lost the answer may refresh again with the same token for this long; later it counts as theft. */
const REUSE_GRACE_SECONDS = 10;
/** Used tokens are kept this long to notice a theft; older ones are simply unknown. */
const USED_TOKENS_KEPT_DAYS = 7;
const SESSIONS_LISTED_MAX = 100;

export interface Session {
  readonly id: string;
  readonly userId: string;
  readonly clientName: string | null;
  readonly ipAddress: string | null;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date;
}

export interface AuthTokens extends AccessToken {
  readonly refreshToken: string;
  readonly refreshTokenExpiresAt: Date;
}

/** What a request says about the device it comes from. */
export interface Device {
  readonly clientName: string | null;
  readonly ipAddress: string | null;
}

/** Starts a session. With a `passwordHash` (the one that was verified), only while it is still the account's own: a
 * password that is changed meanwhile opens nothing any more. Throws INVALID_CREDENTIALS, ACCOUNT_SUSPENDED. */
export async function startSession(
  app: App,
  user: { readonly id: string; readonly passwordHash?: string },
  device: Device,
): Promise<SignedIn> {
  const { sql } = app;
  const refreshToken = newRefreshToken();
  const [session] = await sql<(Session & { role: AccountRole; isSuspended: boolean })[]>`
    with owner as (
      select id, role, suspended_at is not null as is_suspended
      from users
      where id = ${user.id}
        and deleted_at is null
        and ${user.passwordHash === undefined ? sql`true` : sql`password_hash = ${user.passwordHash}`}
      for share
    ), session as (
      insert into sessions (id, user_id, client_name, ip_address, expires_at)
      select ${newId()}, id, ${device.clientName}, ${device.ipAddress},
        now() + make_interval(secs => ${app.config.refreshTokenTtlSeconds})
      from owner
      where not is_suspended
      returning *
    ), token as (
      insert into refresh_tokens (hash, session_id)
      select ${hashToken(refreshToken)}, id from session
    )
    select session.*, owner.role, owner.is_suspended
    from owner
    left join session on true`;
  if (session === undefined) throw wrongCredentials();
  if (session.isSuspended) {
    throw new AppError("ACCOUNT_SUSPENDED", "Cannot sign in: the account is suspended", { path: ["login"] });
  }
  return await signIn(app, session, refreshToken);
}

/** One answer for an unknown login, a wrong password and one that was right a moment ago. */
export function wrongCredentials(): AppError {
  return new AppError("INVALID_CREDENTIALS", "Cannot sign in: unknown login or wrong password", { path: ["password"] });
}

/** A viewer with fresh tokens: what signing in and refreshing give. */
export interface SignedIn {
  readonly viewer: Viewer;
  readonly tokens: AuthTokens;
}

/** Exchanges a refresh token for new tokens. Reuse beyond 10 s ends the whole session.
 * Throws INVALID_REFRESH_TOKEN, RATE_LIMITED. */
export async function refreshSession(
  app: App,
  refreshToken: string,
  ipAddress: string | null,
): Promise<SignedIn> {
  await app.limits.take("refreshAddress", addressKey(ipAddress));
  const fresh = newRefreshToken();
  const hash = hashToken(refreshToken);
  const [session] = await app.sql<(Session & { role: AccountRole })[]>`
    with used as (
      update refresh_tokens
      set used_at = coalesce(used_at, now())
      where hash = ${hash}
        and (used_at is null or used_at > now() - make_interval(secs => ${REUSE_GRACE_SECONDS}))
      returning session_id
    ), session as (
      update sessions
      set last_used_at = now(),
        ip_address = ${ipAddress},
        expires_at = now() + make_interval(secs => ${app.config.refreshTokenTtlSeconds})
      from used, users
      where sessions.id = used.session_id
        and ended_at is null
        and expires_at > now()
        and users.id = sessions.user_id
        and users.suspended_at is null
        and users.deleted_at is null
      returning sessions.*
    ), token as (
      insert into refresh_tokens (hash, session_id)
      select ${hashToken(fresh)}, id from session
    ), forgotten as (
      delete from refresh_tokens
      using session
      where session_id = session.id
        and used_at < now() - make_interval(days => ${USED_TOKENS_KEPT_DAYS})
    )
    select session.*, users.role
    from session
    join users on users.id = session.user_id`;
  if (session === undefined) {
    await endStolenSession(app, hash);
    throw new AppError("INVALID_REFRESH_TOKEN", "Cannot refresh the session: log in again", { path: ["refreshToken"] });
  }
  return await signIn(app, session, fresh);
}

// A token that was used before is in two hands, and nothing tells whose is the thief's.
async function endStolenSession(app: App, hash: Uint8Array): Promise<void> {
  const ended = await app.sql<{ id: string }[]>`
    update sessions
    set ended_at = now()
    from refresh_tokens
    where refresh_tokens.hash = ${hash}
      and refresh_tokens.used_at is not null
      and sessions.id = refresh_tokens.session_id
      and ended_at is null
    returning sessions.id`;
  announceEndedSessions(app, ended.map(({ id }) => id));
}

/** The viewer's sessions, last used first, at most 100: the one that asks is used now. */
export async function listSessions(app: App, viewer: Viewer): Promise<Session[]> {
  return await app.sql<Session[]>`
    select ${sessionColumns(app, viewer)}
    from sessions
    where user_id = ${viewer.userId}
      and ended_at is null
      and expires_at > now()
    order by last_used_at desc, id -- the column of the answer, not of the table
    limit ${SESSIONS_LISTED_MAX}`;
}

/** Those of the viewer's sessions, in any order. */
export async function listSessionsById(app: App, viewer: Viewer, ids: readonly string[]): Promise<Session[]> {
  return await app.sql<Session[]>`
    select ${sessionColumns(app, viewer)}
    from sessions
    where id = any(${ids as string[]}::uuid[])
      and user_id = ${viewer.userId}
      and ended_at is null
      and expires_at > now()`;
}

// The use of this very moment is noted aside, and may not be there yet (see `session_use.ts`).
function sessionColumns({ sql }: App, { sessionId }: Viewer): Fragment {
  return sql`id, user_id, client_name, ip_address, created_at, expires_at,
    case when id = ${sessionId} then now()::timestamptz(3) else last_used_at end as last_used_at`;
}

/** Ends the session that asks; `null` for nobody, or when it has ended meanwhile. */
export async function logOut(app: App, viewer: Viewer | null): Promise<string | null> {
  return viewer && await endSession(app, viewer, viewer.sessionId);
}

/** Ends one session of the viewer. Throws NOT_FOUND. */
export async function revokeSession(app: App, viewer: Viewer, sessionId: string | null): Promise<string> {
  const ended = sessionId && await endSession(app, viewer, sessionId);
  if (!ended) {
    throw new AppError("NOT_FOUND", "Cannot end the session: there is no such session", { path: ["sessionId"] });
  }
  return ended;
}

async function endSession(app: App, viewer: Viewer, sessionId: string): Promise<string | null> {
  const [ended] = await app.sql<{ id: string }[]>`
    update sessions
    set ended_at = now()
    where id = ${sessionId}
      and user_id = ${viewer.userId}
      and ended_at is null
    returning id`;
  if (ended === undefined) return null;
  announceEndedSessions(app, [ended.id]);
  return ended.id;
}

/** Ends what sessions an account has left that may have none any more: one that began in the very moment of the suspension
 * or deletion was not seen by its statement. */
export async function endBarredSessions(app: App, userId: string): Promise<void> {
  const ended = await app.sql<{ id: string }[]>`
    update sessions
    set ended_at = now()
    from users
    where users.id = ${userId}
      and (users.suspended_at is not null or users.deleted_at is not null)
      and sessions.user_id = users.id
      and ended_at is null
    returning sessions.id`;
  announceEndedSessions(app, ended.map(({ id }) => id));
}

/** Ends all sessions of the viewer but this one; returns their ids. */
export async function revokeOtherSessions(app: App, viewer: Viewer): Promise<string[]> {
  const ended = await app.sql<{ id: string }[]>`
    update sessions
    set ended_at = now()
    where user_id = ${viewer.userId}
      and id <> ${viewer.sessionId}
      and ended_at is null
      and expires_at > now()
    returning id`;
  const ids = ended.map(({ id }) => id);
  announceEndedSessions(app, ids);
  return ids;
}

async function signIn(
  app: App,
  session: Session & { readonly role: AccountRole },
  refreshToken: string,
): Promise<SignedIn> {
  const { id, userId, role } = session;
  const access = await signAccessToken(app, { userId, sessionId: id, role });
  return {
    viewer: { userId, sessionId: id, role, expiresAtMs: access.accessTokenExpiresAt.getTime() },
    tokens: { ...access, refreshToken, refreshTokenExpiresAt: session.expiresAt },
  };
}

function newRefreshToken(): string {
  return randomBytes(32).toString("base64url");
}

/** A random token of 256 bits needs no salt and no slow hash. */
function hashToken(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
