/** Going: leaving a room and being sent away. Each is an event of the room, committed together with its effect. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { optionalText } from "../lib/texts.ts";
import { type Fragment, isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { publishRoomEvent, type RemovalReason, type RoomEvent, takeSeq } from "./events.ts";
import { listMemberships, lockBoth, type Member, noSuchRoom, requireMember } from "./members.ts";
import { rankOf } from "./permissions.ts";

/** Characters of the reason of a removal or a ban. */
export const REASON_MAX = 500;

/** Statements that may find that the user has just come back before it is given up. */
const TRIES = 10;

/** Leaves a room and returns its id; nothing happens for one who is not in, whatever room it is. Throws LAST_OWNER,
 * FORBIDDEN in a direct conversation, and NOT_FOUND for a text that is no room id. */
export async function leaveRoom(app: App, viewer: Viewer, roomId: string | null): Promise<string> {
  if (roomId === null) throw noSuchRoom();
  const [member] = await listMemberships(app, viewer, [roomId]);
  if (member === undefined) return roomId;
  if (member.roomKind === "DIRECT") {
    throw new AppError("FORBIDDEN", "Cannot leave: a direct conversation is for always", { path: ["roomId"] });
  }
  try {
    await removeMember(app, viewer.userId, {
      target: app.sql`
        select id, room_id, user_id
        from members
        where room_id = ${roomId}
          and user_id = ${viewer.userId}
        for update`,
      reason: "LEFT",
      note: null,
    });
  } catch (error) {
    if (!isViolationOf(error, "rooms_last_owner")) throw error;
    throw new AppError("LAST_OWNER", "Cannot leave: you are the last owner of the room", {
      path: ["roomId"],
      cause: error,
    });
  }
  return roomId;
}

export interface KickInput {
  readonly userId: string | null;
  readonly reason?: string | null | undefined;
}

/** Removes another member and returns the id of the membership that ended. Throws FORBIDDEN, NOT_FOUND, TOO_LONG,
 * INVALID_INPUT. */
export async function kickMember(app: App, member: Member, input: KickInput): Promise<string> {
  const note = optionalText("reason", input.reason, REASON_MAX);
  for (let tries = 0; tries < TRIES; tries++) {
    const removed = await removeMember(app, member.userId, {
      target: lockOutranked(app, member, input.userId),
      reason: "KICKED",
      note,
    });
    if (removed !== null) return removed;
    await requireMember(app, member, member.roomId);
    const mayRemove = await isOutranked(app, member, input.userId);
    if (mayRemove === false) throw notOutranked();
    if (mayRemove === null) break;
  }
  throw notInRoom();
}

/** The other's membership, if the member outranks it in this moment. */
function lockOutranked(app: App, member: Member, userId: string | null): Fragment {
  return app.sql`
    with present as (${lockBoth(app, member, userId)}
    )
    select theirs.id, theirs.room_id, theirs.user_id
    from present as own
    join present as theirs on theirs.user_id = ${userId}
    where own.user_id = ${member.userId}
      and ${rankOf(app.sql, "own.role")} > ${rankOf(app.sql, "theirs.role")}`;
}

/** Whether the member outranks the user now; `null` where the user is not in the room. */
export async function isOutranked(app: App, member: Member, userId: string | null): Promise<boolean | null> {
  const [target] = await app.sql<{ isOutranked: boolean }[]>`
    select ${rankOf(app.sql, "own.role")} > ${rankOf(app.sql, "theirs.role")} as is_outranked
    from members as own
    join members as theirs on theirs.room_id = own.room_id
    where own.room_id = ${member.roomId}
      and own.user_id = ${member.userId}
      and theirs.user_id = ${userId}`;
  return target?.isOutranked ?? null;
}

export function notInRoom(): AppError {
  return new AppError("NOT_FOUND", "Cannot find the member: the user is not in the room", { path: ["userId"] });
}

export function notOutranked(): AppError {
  return new AppError("FORBIDDEN", "Cannot do this to the member: your role does not outrank theirs", {
    path: ["userId"],
  });
}

interface Removal {
  /** Selects the one membership that is to end, locked: `id, room_id, user_id`. */
  readonly target: Fragment;
  readonly reason: RemovalReason;
  readonly note: string | null;
}

/** Ends a membership; the id of it, `null` where `target` selects none. The member row is locked before the room, as
 * everywhere: a message of the removed one is either before the removal in the log or refused. */
async function removeMember(app: App, actorId: string, { target, reason, note }: Removal): Promise<string | null> {
  const [removed] = await retryDeadlock(() =>
    app.sql<Removed[]>`
    with target as (${target}
    ), ${endMembership(app, { actorId, reason, note })}, news as (
      select * from removal_news
    ), ${appendViewerEvents(app)}
    select event.*, ${toldUsers(app)} from event`
  );
  if (removed === undefined) return null;
  publishRemoval(app, removed);
  return removed.data.memberId;
}

export type Removed = RoomEvent & { readonly data: { readonly memberId: string }; readonly told: readonly string[] };

export function publishRemoval(app: App, { told, ...event }: Removed): void {
  publishRoomEvent(app, event);
  publishViewerEvents(app, told);
}

/** Parts of a `with` that end the membership that the part `target` before them has locked (`id, room_id, user_id`). The
 * statement takes the `event` and puts `removal_news` into the `news` of `appendViewerEvents`. */
function endMembership(app: App, details: RemovalDetails): Fragment {
  return app.sql`
    member as (
      delete from members
      using target
      where members.id = target.id
      returning members.id, members.room_id, members.user_id, members.role
    ), room as (
      update rooms
      set ${takeSeq(app)},
        member_count = member_count - 1,
        owner_count = owner_count - (member.role = 'OWNER')::int
      from member
      where rooms.id = member.room_id
      returning last_seq
    ), ${logRemoval(app, details)}`;
}

/** The parts of it that tell of the removal: of the deleted `member`, under the number of the `room`. */
export function logRemoval({ sql }: App, { actorId, reason, note }: RemovalDetails): Fragment {
  const details = note === null ? { reason } : { reason, note };
  return sql`
    removal_news as (
      select user_id, 'ROOM_REMOVED' as kind, room_id as subject_id, ${sql.json(details)}::jsonb as data from member
    ), event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select room_id, last_seq, 'MEMBER_REMOVED', ${actorId}::uuid, user_id,
        ${sql.json(details)}::jsonb || jsonb_build_object('memberId', member.id)
      from member, room
      returning *
    )`;
}

interface RemovalDetails extends Omit<Removal, "target"> {
  readonly actorId: string;
}
