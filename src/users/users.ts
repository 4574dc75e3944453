/** People: what everyone may see of them, and what they may change themselves. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { isStorable, optionalText, requireText } from "../lib/texts.ts";
import { type Fragment, isViolationOf } from "../platform/sql.ts";

const DISPLAY_NAME_MAX = 80;
const BIO_MAX = 500;
const EMAIL_MAX = 254; // RFC 5321, 4.5.3.1.3: a path of 256 octets with its brackets

export type AccountRole = "USER" | "ADMIN";

export type PresenceStatus = "ONLINE" | "AWAY" | "DO_NOT_DISTURB" | "OFFLINE";

export interface User {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  readonly displayName: string;
  readonly bio: string | null;
  /** A picture in `files`. */
  readonly avatarId: string | null;
  readonly role: AccountRole;
  /** What others see while the user is connected; OFFLINE is invisible. */
  readonly presence: PresenceStatus;
  /** When the user was last shown online, as of the end of that visit. */
  readonly lastSeenAt: Date | null;
  readonly createdAt: Date;
  /** Since when the account may not sign in. */
  readonly suspendedAt: Date | null;
  /** Since when it is a placeholder for the author of what it wrote. */
  readonly deletedAt: Date | null;
}

/** The columns of a `User`. */
export function userColumns({ sql }: App): Fragment {
  return sql`users.id, users.username, users.email, users.display_name, users.bio, users.role, users.created_at,
    users.suspended_at, users.deleted_at, users.presence, users.last_seen_at, users.avatar_id`;
}

/** The users with these ids, in any order; unknown ids are left out, deleted accounts are not. */
export async function listUsers(app: App, ids: readonly string[]): Promise<User[]> {
  return await app.sql<User[]>`
    select ${userColumns(app)}
    from users
    where id = any(${ids as string[]}::uuid[])`;
}

/** One part of a statement that makes something of the user's: no row for an account that is deleted, and one that is there
 * stays until the end of the statement. Locked before anything else, as by the deletion itself. */
export function lockAccount({ sql }: App, userId: string): Fragment {
  return sql`
    select id
    from users
    where id = ${userId}
      and deleted_at is null
    for key share`;
}

/** `null` for a handle that nobody has now. */
export async function findUserByUsername(app: App, username: string): Promise<User | null> {
  if (!isStorable(username)) return null;
  const [user] = await app.sql<User[]>`
    select ${userColumns(app)}
    from users
    where username = ${username.toLowerCase()}
      and deleted_at is null`;
  return user ?? null;
}

/** For an id of nobody; `path` leads to it. */
export function noSuchUser(path: readonly string[] = ["userId"]): AppError {
  return new AppError("NOT_FOUND", "Cannot find the user: there is none with this id", { path });
}

export interface ProfileInput {
  readonly username?: string | null | undefined;
  readonly displayName?: string | null | undefined;
  readonly bio?: string | null | undefined;
}

/** Changes the fields that are given; `null` clears `bio`, and makes the handle the `displayName`.
 * Throws INVALID_INPUT, TOO_LONG, USERNAME_TAKEN. */
export async function updateProfile(app: App, userId: string, input: ProfileInput): Promise<User> {
  const { sql } = app;
  const { bio } = input;
  if (input.username === null) {
    throw new AppError("EMPTY", "Cannot change the profile: the handle is empty", { path: ["username"] });
  }
  const username = input.username === undefined ? sql`username` : sql`${parseUsername(input.username)}`;
  const displayName = input.displayName === undefined
    ? sql`display_name`
    : sql`coalesce(${optionalText("displayName", input.displayName, DISPLAY_NAME_MAX)}, ${username})`;
  try {
    const [user] = await sql<User[]>`
      update users
      set username = ${username},
        display_name = ${displayName},
        bio = ${bio === undefined ? sql`bio` : optionalText("bio", bio, BIO_MAX)}
      where id = ${userId}
        and deleted_at is null
      returning ${userColumns(app)}`;
    if (user === undefined) throw new AppError("NOT_FOUND", "Cannot change the profile: the account does not exist");
    return user;
  } catch (error) {
    throw describeTaken(error);
  }
}

/** Turns a broken unique constraint of `users` into USERNAME_TAKEN or EMAIL_TAKEN; other errors stay as they are. */
export function describeTaken(error: unknown): unknown {
  if (isViolationOf(error, "users_username_key")) {
    return new AppError("USERNAME_TAKEN", "Cannot use the handle: it is taken", { path: ["username"], cause: error });
  }
  if (isViolationOf(error, "users_email_key")) {
    return new AppError("EMAIL_TAKEN", "Cannot use the e-mail address: it has an account already", {
      path: ["email"],
      cause: error,
    });
  }
  return error;
}

/** The handle in lower case. Throws INVALID_INPUT. */
export function parseUsername(text: string): string {
  const username = text.trim().toLowerCase();
  if (!/^[a-z0-9_.]{3,30}$/.test(username)) {
    throw new AppError("INVALID_INPUT", "Cannot use the handle: it takes 3 to 30 of a-z, 0-9, `_` and `.`", {
      path: ["username"],
    });
  }
  return username;
}

/** The address in lower case. Throws INVALID_INPUT. */
export function parseEmail(text: string): string {
  const email = text.trim().toLowerCase();
  // The form that browsers check (HTML, valid e-mail address), and a dot in the domain.
  const isValid =
    /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/
      .test(email);
  if (!isValid || email.length > EMAIL_MAX) {
    throw new AppError("INVALID_INPUT", "Cannot use the e-mail address: it is not a valid one", { path: ["email"] });
  }
  return email;
}

/** The display name, the handle where none is given. Throws TOO_LONG, INVALID_INPUT. */
export function parseDisplayName(text: string | null | undefined, username: string): string {
  return requireText("displayName", text?.trim() || username, DISPLAY_NAME_MAX);
}
