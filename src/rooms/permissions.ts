/** What one may do in a room, by role: the only place that says so. */
import { AppError } from "../errors.ts";
import type { Fragment, Sql } from "../platform/sql.ts";
import type { RoomRole } from "./events.ts";

export type RoomKind = "PUBLIC" | "PRIVATE" | "DIRECT";

const MEMBER = ["READ", "SEND_MESSAGES", "ATTACH_FILES"] as const;
const MODERATOR = [
  ...MEMBER,
  "MENTION_EVERYONE",
  "PIN_MESSAGES",
  "INVITE_MEMBERS",
  "KICK_MEMBERS",
  "BAN_MEMBERS",
  "MANAGE_MESSAGES",
  "MANAGE_ROOM",
] as const;
const OWNER = [...MODERATOR, "MANAGE_ROLES", "DELETE_ROOM"] as const;

export type RoomPermission = "JOIN" | typeof OWNER[number];

const BY_ROLE: Readonly<Record<RoomRole, readonly RoomPermission[]>> = { MEMBER, MODERATOR, OWNER };
/** A direct conversation belongs to all of its people alike. */
const DIRECT: readonly RoomPermission[] = [...MEMBER, "MENTION_EVERYONE", "PIN_MESSAGES"];
/** What a mute takes away. */
const WRITING: readonly RoomPermission[] = ["SEND_MESSAGES", "ATTACH_FILES", "MENTION_EVERYONE"];

/** Roles from the least powerful. */
const RANKS: readonly RoomRole[] = ["MEMBER", "MODERATOR", "OWNER"];

/** What permissions depend on. */
export interface Standing {
  readonly roomKind: RoomKind;
  readonly role: RoomRole;
  readonly mutedUntil: Date | null;
}

export function permissionsOf(member: Standing): readonly RoomPermission[] {
  const all = member.roomKind === "DIRECT" ? DIRECT : BY_ROLE[member.role];
  return isMuted(member) ? all.filter((permission) => !WRITING.includes(permission)) : all;
}

export function hasPermission(member: Standing, permission: RoomPermission): boolean {
  return permissionsOf(member).includes(permission);
}

/** The roles that have the permission, for statements that check it under the lock of the member's row. Says nothing of
 * direct conversations: there is no role in them. */
export function rolesWith(permission: RoomPermission): RoomRole[] {
  return RANKS.filter((role) => BY_ROLE[role].includes(permission));
}

/** What one who is not a member may do. */
export function permissionsOfStranger(
  { roomKind, isInvited, isBanned }: {
    readonly roomKind: RoomKind;
    readonly isInvited: boolean;
    readonly isBanned: boolean;
  },
): readonly RoomPermission[] {
  return (roomKind === "PUBLIC" || isInvited) && !isBanned ? ["JOIN"] : [];
}

/** Throws FORBIDDEN. */
export function requirePermission(member: Standing, permission: RoomPermission, path: string): void {
  if (hasPermission(member, permission)) return;
  const state = isMuted(member) && WRITING.includes(permission)
    ? `you are muted until ${member.mutedUntil?.toISOString()}`
    : `it takes the permission ${permission}`;
  throw new AppError("FORBIDDEN", `Cannot do this in the room: ${state}`, { path: [path] });
}

/** `hasPermission` as a condition on columns of `members`, for statements that check it under their locks. */
export function isPermitted(sql: Sql, roomKind: RoomKind, permission: RoomPermission): Fragment {
  const roles = RANKS.filter((role) => hasPermission({ roomKind, role, mutedUntil: null }, permission));
  const hasRole = sql`role = any(${roles as string[]}::text[])`;
  return WRITING.includes(permission) ? sql`(${hasRole} and (muted_until is null or muted_until <= now()))` : hasRole;
}

/** Whether the role may act on what others made in the room. */
export function isModerator(role: RoomRole): boolean {
  return role !== "MEMBER";
}

/** The rank of a column with a role, for statements that compare two of them under their locks: nobody acts on an equal or
 * higher. */
export function rankOf(sql: Sql, column: string): Fragment {
  return sql`array_position(${RANKS as string[]}::text[], ${sql.unsafe(column)})`;
}

export function isMuted({ mutedUntil }: Pick<Standing, "mutedUntil">): boolean {
  return mutedUntil !== null && mutedUntil.getTime() > Date.now();
}
