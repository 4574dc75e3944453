/** Changing what a member may do: roles and mutes. Nobody acts on an equal or higher, which the statement itself holds. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { futureOrNull } from "../lib/times.ts";
import { isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { publishRoomEvent, type RoomEvent, type RoomRole, takeSeq } from "./events.ts";
import { listMembers, lockBoth, type Member, requireMember } from "./members.ts";
import { rankOf, requirePermission, rolesWith } from "./permissions.ts";
import { notInRoom, notOutranked } from "./removals.ts";

export interface MemberChange {
  readonly userId: string | null;
  /** `OWNER` adds an owner; the last one cannot step down. */
  readonly role?: RoomRole | null | undefined;
  /** `null`, or an instant that is over, lifts the mute. */
  readonly mutedUntil?: Date | null | undefined;
}

/** Changes the role or the mute of a member and returns the membership; what is left out stays. Owners give every role to
 * those who are not owners, and take their own back. Throws FORBIDDEN, NOT_FOUND, LAST_OWNER, INVALID_INPUT. */
export async function updateMember(app: App, member: Member, input: MemberChange): Promise<Member> {
  const role = input.role ?? null;
  const isMute = input.mutedUntil !== undefined;
  const mutedUntil = futureOrNull("mutedUntil", input.mutedUntil ?? null);
  if (role !== null) requirePermission(member, "MANAGE_ROLES", "userId");
  else requirePermission(member, "KICK_MEMBERS", "userId");
  const { memberId, isAllowed, event } = await changeMember(app, member, {
    userId: input.userId,
    role,
    mute: isMute ? { until: mutedUntil } : null,
  });
  if (event !== null) publishRoomEvent(app, event);
  const [changed] = memberId === null ? [] : await listMembers(app, [memberId]);
  if (changed !== undefined && isAllowed) return changed;
  await requireMember(app, member, member.roomId);
  throw changed === undefined ? notInRoom() : notOutranked();
}

interface Change {
  readonly userId: string | null;
  readonly role: RoomRole | null;
  readonly mute: { readonly until: Date | null } | null;
}

interface Changed {
  /** `null` where the user is not in the room. */
  readonly memberId: string | null;
  readonly isAllowed: boolean;
  /** `null` where nothing has changed. */
  readonly event: RoomEvent | null;
}

async function changeMember(app: App, member: Member, { userId, role, mute }: Change): Promise<Changed> {
  const { sql } = app;
  // One's own role is the one thing that an owner may change without outranking anybody.
  const isOwnRole = role !== null && mute === null && userId === member.userId;
  try {
    const [row] = await retryDeadlock(() =>
      sql<(Partial<RoomEvent> & { memberId: string; isAllowed: boolean })[]>`
      with present as (${lockBoth(app, member, userId)}
      ), target as (
        select theirs.*,
          own.role = any(${rolesWith(role === null ? "KICK_MEMBERS" : "MANAGE_ROLES")}::text[])
            and (${isOwnRole} or ${rankOf(sql, "own.role")} > ${rankOf(sql, "theirs.role")}) as is_allowed
        from present as own
        join present as theirs on theirs.user_id = ${userId}
        where own.user_id = ${member.userId}
      ), member as (
        update members
        set role = coalesce(${role}, target.role),
          muted_until = ${mute === null ? sql`target.muted_until` : sql`${mute.until}::timestamptz`}
        from target
        where members.id = target.id
          and target.is_allowed
          and (
            coalesce(${role}, target.role) <> target.role
            or ${mute === null ? sql`false` : sql`target.muted_until is distinct from ${mute.until}::timestamptz(3)`}
          )
        returning members.id, members.room_id, members.user_id, members.role, members.muted_until,
          target.role as former_role
      ), room as (
        update rooms
        set ${takeSeq(app)},
          owner_count = owner_count + (member.role = 'OWNER')::int - (former_role = 'OWNER')::int
        from member
        where rooms.id = member.room_id
        returning last_seq
      ), event as (
        insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
        select room_id, last_seq, 'MEMBER_UPDATED', ${member.userId}::uuid, user_id,
          jsonb_build_object('memberId', member.id, 'role', member.role, 'mutedUntil', member.muted_until)
        from member, room
        returning *
      )
      select event.*, target.id as member_id, target.is_allowed
      from target
      left join event on true`
    );
    if (row === undefined) return { memberId: null, isAllowed: false, event: null };
    const { memberId, isAllowed, ...event } = row;
    return { memberId, isAllowed, event: event.seq ? event as RoomEvent : null };
  } catch (error) {
    if (!isViolationOf(error, "rooms_last_owner")) throw error;
    throw new AppError("LAST_OWNER", "Cannot step down: you are the last owner of the room", {
      path: ["role"],
      cause: error,
    });
  }
}
