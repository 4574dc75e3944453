/** Making an account, proving that it is yours, and changing the proof. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { addressKey } from "../lib/addresses.ts";
import { newId } from "../lib/ids.ts";
import { optionalText } from "../lib/texts.ts";
import { describeTaken, parseDisplayName, parseEmail, parseUsername, type User, userColumns } from "../users/users.ts";
import { hashPassword, requireStrongPassword, verifyPassword } from "./passwords.ts";
import { announceEndedSessions } from "./revocations.ts";
import { type Device, revokeOtherSessions, type SignedIn, startSession, wrongCredentials } from "./sessions.ts";
import type { Viewer } from "./viewer.ts";

const CLIENT_NAME_MAX = 100;
/** Characters of an unknown login that are remembered to limit guesses. */
const LOGIN_KEY_MAX = 254;

export interface RegisterInput {
  readonly username: string;
  readonly email: string;
  readonly password: string;
  readonly displayName?: string | null | undefined;
  readonly clientName?: string | null | undefined;
}

/** Creates an account and signs in. Throws INVALID_INPUT, TOO_LONG, WEAK_PASSWORD, USERNAME_TAKEN, EMAIL_TAKEN,
 * RATE_LIMITED, UNAVAILABLE. */
export async function register(app: App, ipAddress: string | null, input: RegisterInput): Promise<SignedIn> {
  const username = parseUsername(input.username);
  const email = parseEmail(input.email);
  const displayName = parseDisplayName(input.displayName, username);
  const password = requireStrongPassword("password", input.password, username);
  const device = parseDevice(ipAddress, input.clientName);
  await app.limits.take("registerAddress", addressKey(ipAddress));
  const user = await createUser(app, { username, email, displayName, passwordHash: await hashPassword(password) });
  return await startSession(app, user, device);
}

export interface LoginInput {
  readonly login: string;
  readonly password: string;
  readonly clientName?: string | null | undefined;
}

/** Signs in by handle or e-mail address. Throws INVALID_CREDENTIALS, ACCOUNT_SUSPENDED, RATE_LIMITED, UNAVAILABLE. */
export async function logIn(app: App, ipAddress: string | null, input: LoginInput): Promise<SignedIn> {
  const login = input.login.trim().toLowerCase();
  const device = parseDevice(ipAddress, input.clientName);
  await app.limits.take("loginAddress", addressKey(ipAddress));
  const [user] = await app.sql<{ id: string; passwordHash: string }[]>`
    select id, password_hash
    from users
    where ${login.includes("@") ? app.sql`email` : app.sql`username`} = ${login.replaceAll("\0", "")}
      and deleted_at is null`;
  // By the account, not by how it was named: handle and e-mail are one counter.
  const account = user?.id ?? login.slice(0, LOGIN_KEY_MAX);
  await app.limits.take("loginAccount", `${account} ${addressKey(ipAddress)}`);
  await app.limits.take("loginAccountTotal", account);
  const isRight = await verifyPassword(user?.passwordHash ?? null, input.password);
  if (user === undefined || !isRight) {
    throw wrongCredentials();
  }
  return await startSession(app, user, device);
}

export interface ChangePasswordInput {
  readonly currentPassword: string;
  readonly newPassword: string;
}

/** Changes the password, ends all other sessions and returns the user's id.
 * Throws INVALID_CREDENTIALS, WEAK_PASSWORD, TOO_LONG, RATE_LIMITED, UNAVAILABLE. */
export async function changePassword(app: App, viewer: Viewer, input: ChangePasswordInput): Promise<string> {
  await app.limits.take("password", viewer.userId);
  const [user] = await app.sql<{ username: string; passwordHash: string }[]>`
    select username, password_hash
    from users
    where id = ${viewer.userId}`;
  if (user === undefined || !(await verifyPassword(user.passwordHash, input.currentPassword))) {
    throw new AppError("INVALID_CREDENTIALS", "Cannot change the password: the current one is wrong", {
      path: ["currentPassword"],
    });
  }
  const passwordHash = await hashPassword(requireStrongPassword("newPassword", input.newPassword, user.username));
  // Compared with the hash that was verified: of two changes at once only one can win.
  const ended = await app.sql<{ id: string | null }[]>`
    with changed as (
      update users
      set password_hash = ${passwordHash}
      where id = ${viewer.userId}
        and password_hash = ${user.passwordHash}
      returning id
    ), ended as (
      update sessions
      set ended_at = now()
      from changed
      where user_id = changed.id
        and sessions.id <> ${viewer.sessionId}
        and ended_at is null
      returning sessions.id
    )
    select ended.id
    from changed
    left join ended on true`;
  if (ended.length === 0) {
    throw new AppError("INVALID_CREDENTIALS", "Cannot change the password: it was changed meanwhile", {
      path: ["currentPassword"],
    });
  }
  announceEndedSessions(app, ended.flatMap(({ id }) => id ?? []));
  // One that began with the old password in this very moment was not seen by the statement.
  await revokeOtherSessions(app, viewer);
  return viewer.userId;
}

/** An account whose parts have been checked. */
export interface NewUser {
  readonly username: string;
  readonly email: string;
  readonly displayName: string;
  readonly passwordHash: string;
}

/** Throws USERNAME_TAKEN, EMAIL_TAKEN. */
export async function createUser(app: App, user: NewUser): Promise<User> {
  try {
    const [created] = await app.sql<User[]>`
      with created as (
        insert into users ${app.sql({ id: newId(), ...user })}
        returning ${userColumns(app)}
      ), log as (
        insert into viewer_logs (user_id) select id from created
      )
      select * from created`;
    if (created === undefined) throw new Error("insert returned no user");
    return created;
  } catch (error) {
    throw describeTaken(error);
  }
}

function parseDevice(ipAddress: string | null, clientName: string | null | undefined): Device {
  return { ipAddress, clientName: optionalText("clientName", clientName, CLIENT_NAME_MAX) };
}
