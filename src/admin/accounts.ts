/** What admins may do with accounts. Who is an admin is asked of the database each time, never of the access token: one
 * who is demoted stops being one at once. */
import type { App } from "../app.ts";
import { endBarredSessions } from "../auth/sessions.ts";
import { announceEndedSessions } from "../auth/revocations.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { type Fragment, retryDeadlock } from "../platform/sql.ts";
import type { AccountRole, User } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";

export async function isAdmin(app: App, viewer: Viewer | null): Promise<boolean> {
  if (viewer === null) return false;
  const [admin] = await app.sql`
    select
    from users
    where id = ${viewer.userId}
      and ${mayAdminister(app)}`;
  return admin !== undefined;
}

/** Throws FORBIDDEN. */
export async function requireAdmin(app: App, viewer: Viewer): Promise<void> {
  if (!await isAdmin(app, viewer)) throw notAnAdmin();
}

/** Whether a row of `users` is an admin's. */
function mayAdminister({ sql }: App): Fragment {
  return sql`(role = 'ADMIN' and suspended_at is null and deleted_at is null)`;
}

/** One part of a statement that writes as an admin: no row for one who is none, and one who is stays so until its end. */
export function lockAdmin(app: App, viewer: Viewer): Fragment {
  return app.sql`
    select id
    from users
    where id = ${viewer.userId}
      and ${mayAdminister(app)}
    for share`;
}

export function notAnAdmin(): AppError {
  return new AppError("FORBIDDEN", "Cannot do this: it takes an admin");
}

/** The role of each of the users, for admins and oneself; else `null`. */
export async function listAccountRoles(
  app: App,
  viewer: Viewer | null,
  users: readonly User[],
): Promise<(AccountRole | null)[]> {
  const isOnlyOneself = users.every(({ id }) => id === viewer?.userId);
  const sees = isOnlyOneself || await isAdmin(app, viewer);
  return users.map(({ id, role }) => sees || id === viewer?.userId ? role : null);
}

/** Whether each of the users is suspended, for admins; else `null`. */
export async function listSuspensions(
  app: App,
  viewer: Viewer | null,
  users: readonly User[],
): Promise<(boolean | null)[]> {
  const sees = await isAdmin(app, viewer);
  return users.map(({ suspendedAt }) => sees ? suspendedAt !== null : null);
}

export interface AccountInput {
  /** `null` for a text that is no user id. */
  readonly userId: string | null;
  readonly role?: AccountRole | null | undefined;
  readonly isSuspended?: boolean | null | undefined;
}

/** Changes what is given and returns the user's id; a suspension ends all sessions at once. Nobody can change the own
 * account, so one admin always remains. Throws FORBIDDEN, NOT_FOUND. */
export async function updateAccount(app: App, viewer: Viewer, input: AccountInput): Promise<string> {
  await requireAdmin(app, viewer);
  if (input.userId === viewer.userId) {
    throw new AppError("FORBIDDEN", "Cannot change the account: it is your own", { path: ["userId"] });
  }
  const { isAllowed, id, ended, told } = await retryDeadlock(() => storeAccount(app, viewer, input));
  if (!isAllowed) throw notAnAdmin();
  if (id === null) {
    throw new AppError("NOT_FOUND", "Cannot change the account: there is none with this id", { path: ["userId"] });
  }
  announceEndedSessions(app, ended);
  publishViewerEvents(app, told);
  await endBarredSessions(app, id);
  return id;
}

interface StoredAccount {
  readonly isAllowed: boolean;
  readonly id: string | null;
  readonly ended: readonly string[];
  readonly told: readonly string[];
}

/** Locks both accounts in order of their ids: of two admins who demote each other at once, the second finds out that he is
 * none any more. */
async function storeAccount(app: App, viewer: Viewer, input: AccountInput): Promise<StoredAccount> {
  const { sql } = app;
  const isSuspended = input.isSuspended ?? null;
  const suspendedAt = isSuspended === null
    ? sql`users.suspended_at`
    : isSuspended
    ? sql`coalesce(users.suspended_at, now())`
    : sql`null`;
  const [stored] = await sql<StoredAccount[]>`
    with locked as (
      select id, role, suspended_at, deleted_at
      from users
      where id in (${viewer.userId}, ${input.userId})
      order by id
      for no key update
    ), target as (
      update users
      set role = coalesce(${input.role ?? null}, users.role),
        suspended_at = ${suspendedAt}
      from locked as before, (select id from locked where ${mayAdminister(app)}) as admin
      where admin.id = ${viewer.userId}
        and before.id = ${input.userId}
        and before.deleted_at is null
        and users.id = before.id
      returning users.id, users.suspended_at, users.role <> before.role as has_new_role
    ), ended as (
      update sessions
      set ended_at = now()
      from target
      where target.suspended_at is not null
        and sessions.user_id = target.id
        and sessions.ended_at is null
      returning sessions.id
    ), news as (
      select id as user_id, 'VIEWER_UPDATED' as kind, id as subject_id, null::jsonb as data
      from target
      where has_new_role
    ), ${appendViewerEvents(app)}
    select exists (select from locked where id = ${viewer.userId} and ${mayAdminister(app)}) as is_allowed,
      (select id from target) as id,
      array(select id from ended) as ended,
      ${toldUsers(app)}`;
  if (stored === undefined) throw new Error("select returned no row");
  return stored;
}

/** Gives an account another role, for the operator at the command line; false where nobody has the handle. */
export async function setAccountRole(app: App, username: string, role: AccountRole): Promise<boolean> {
  const [changed] = await app.sql<{ told: string[] }[]>`
    with before as (
      select id, role
      from users
      where username = ${username.toLowerCase()}
        and deleted_at is null
      for no key update
    ), target as (
      update users
      set role = ${role}
      from before
      where users.id = before.id
      returning users.id, users.role <> before.role as has_new_role
    ), news as (
      select id as user_id, 'VIEWER_UPDATED' as kind, id as subject_id, null::jsonb as data
      from target
      where has_new_role
    ), ${appendViewerEvents(app)}
    select ${toldUsers(app)} from target`;
  publishViewerEvents(app, changed?.told ?? []);
  return changed !== undefined;
}
