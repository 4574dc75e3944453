/** Direct conversations: one for each set of people, made when somebody opens it. Nobody joins, leaves or rules there. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { retryDeadlock } from "../platform/sql.ts";
import { isBlocked } from "../users/blocks.ts";
import { noSuchUser } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { blockedAt } from "./inviting.ts";
import type { Room } from "./rooms.ts";

/** Others in one conversation. */
const OTHERS_MAX = 8;

/** The conversation of exactly the viewer and these users; made if there was none. `null` stands for a text that is no user
 * id. Throws INVALID_INPUT for nobody but oneself, TOO_LONG, NOT_FOUND, BLOCKED, RATE_LIMITED. */
export async function openDirectRoom(app: App, viewer: Viewer, userIds: readonly (string | null)[]): Promise<Room> {
  const others = parseOthers(viewer, userIds);
  await checkUsers(app, userIds);
  const existing = await findDirectRoom(app, [viewer.userId, ...others]);
  if (existing !== null) return existing;
  await checkBlocks(app, viewer, userIds);
  await app.limits.take("openDirectRoom", viewer.userId);
  const made = await insertDirectRoom(app, viewer, others) ?? await findDirectRoom(app, [viewer.userId, ...others]);
  if (made !== null) return made;
  await checkUsers(app, userIds); // somebody was deleted or blocked in this very moment
  await checkBlocks(app, viewer, userIds);
  throw new AppError("UNAVAILABLE", "Cannot open the conversation: its people have just changed, try again");
}

function parseOthers(viewer: Viewer, userIds: readonly (string | null)[]): string[] {
  const others = [...new Set(userIds)].filter((id): id is string => id !== null && id !== viewer.userId);
  if (userIds.every((id) => id === viewer.userId)) {
    throw new AppError("INVALID_INPUT", "Cannot open the conversation: it takes somebody else", { path: ["userIds"] });
  }
  if (others.length > OTHERS_MAX) {
    const state = `there are ${others.length} others, the limit is ${OTHERS_MAX}`;
    throw new AppError("TOO_LONG", `Cannot open the conversation: ${state}`, { path: ["userIds"], limit: OTHERS_MAX });
  }
  return others;
}

async function checkUsers(app: App, userIds: readonly (string | null)[]): Promise<void> {
  const found = await app.sql<{ id: string }[]>`
    select id
    from users
    where id = any(${userIds as string[]}::uuid[])
      and deleted_at is null`;
  const index = userIds.findIndex((wanted) => !found.some(({ id }) => id === wanted));
  if (index >= 0) throw noSuchUser(["userIds", String(index)]);
}

async function checkBlocks(app: App, viewer: Viewer, userIds: readonly (string | null)[]): Promise<void> {
  const blocked = await app.sql<{ id: string }[]>`
    select id
    from users
    where id = any(${userIds as string[]}::uuid[])
      and ${isBlocked(app, app.sql`${viewer.userId}::uuid`, app.sql`users.id`)}`;
  const index = userIds.findIndex((wanted) => blocked.some(({ id }) => id === wanted));
  if (index >= 0) throw blockedAt(["userIds", String(index)]);
}

function directKey(userIds: readonly string[]): string {
  return userIds.toSorted().join();
}

async function findDirectRoom(app: App, userIds: readonly string[]): Promise<Room | null> {
  const [room] = await app.sql<Room[]>`select * from rooms where direct_key = ${directKey(userIds)}`;
  return room ?? null;
}

/** `null` where somebody else makes it in the same moment, or it must not be made. */
async function insertDirectRoom(app: App, viewer: Viewer, others: readonly string[]): Promise<Room | null> {
  const userIds = [viewer.userId, ...others];
  const [made] = await retryDeadlock(() =>
    app.sql<(Room & { told: string[] })[]>`
    with person as (
      select users.id
      from users
      where users.id = any(${userIds}::uuid[])
        and users.deleted_at is null
      order by users.id
      for share
    ), room as (
      insert into rooms (id, kind, direct_key, creator_id, last_seq, member_count)
      select ${newId()}, 'DIRECT', ${directKey(userIds)}, ${viewer.userId}::uuid, count(*), count(*)
      from person
      having count(*) = ${userIds.length}
        and not bool_or(${isBlocked(app, app.sql`${viewer.userId}::uuid`, app.sql`person.id`)})
      on conflict (direct_key) do nothing
      returning *
    ), member as (
      insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
      select wanted.id, room.id, user_id, 'MEMBER', place, place
      from room
      cross join unnest(${userIds.map(() => newId())}::uuid[], ${userIds}::uuid[])
        with ordinality as wanted (id, user_id, place)
      returning *
    ), news as (
      select user_id, 'ROOM_ADDED' as kind, room_id as subject_id, null::jsonb as data from member
    ), ${appendViewerEvents(app)}, event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select room_id, joined_seq, 'MEMBER_JOINED', ${viewer.userId}::uuid, user_id,
        jsonb_build_object('memberId', id, 'role', role)
      from member
    )
    select room.*, ${toldUsers(app)} from room`
  );
  if (made === undefined) return null;
  const { told, ...room } = made;
  publishViewerEvents(app, told);
  return room;
}

/** The one-to-one conversation of the viewer with each of these users, in their order; `null` where there is none. */
export async function listDirectRooms(
  app: App,
  viewer: Viewer | null,
  userIds: readonly string[],
): Promise<(Room | null)[]> {
  if (viewer === null) return userIds.map(() => null);
  const keys = userIds.map((id) => directKey([viewer.userId, id]));
  const rooms = await app.sql<(Room & { directKey: string })[]>`
    select *
    from rooms
    where direct_key = any(${keys}::text[])`;
  return keys.map((key) => rooms.find(({ directKey }) => directKey === key) ?? null);
}

export interface Participant {
  readonly id: string;
  readonly displayName: string;
  readonly avatarId: string | null;
}

/** The people of each of these direct conversations, in their order, by name; of those who have left Parley too. */
export async function listParticipants(app: App, roomIds: readonly string[]): Promise<Participant[][]> {
  const people = await app.sql<(Participant & { roomId: string })[]>`
    select rooms.id as room_id, users.id, users.display_name, users.avatar_id
    from rooms
    join users on users.id = any(string_to_array(rooms.direct_key, ',')::uuid[])
    where rooms.id = any(${roomIds as string[]}::uuid[])
    order by lower(users.display_name), users.id`;
  return roomIds.map((id) => people.filter(({ roomId }) => roomId === id));
}

/** What a direct conversation is called for one of its people: the names of the others. */
export function titleFor(userId: string, people: readonly Participant[]): string {
  return people.filter(({ id }) => id !== userId).map(({ displayName }) => displayName).join(", ");
}

/** Picture of a conversation of two for one of them. */
export function avatarOfOther(userId: string, people: readonly Participant[]): string | null {
  return people.find(({ id }) => id !== userId)?.avatarId ?? null;
}
