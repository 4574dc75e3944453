/** Making a room: its row, its owner, its first event and its first invites, in one statement. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { newId } from "../lib/ids.ts";
import { isViolationOf, retryDeadlock } from "../platform/sql.ts";
import { isBlocked } from "../users/blocks.ts";
import { lockAccount, noSuchUser } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { blockedAt, checkInvitees, insertInviteRows } from "./inviting.ts";
import type { RoomKind } from "./permissions.ts";
import type { Room } from "./rooms.ts";
import { makeSlug, parseName, parseSlug, parseTopic, slugTaken, varySlug } from "./slugs.ts";

export interface CreateRoomInput {
  readonly kind: RoomKind;
  readonly name: string;
  readonly slug?: string | null | undefined;
  readonly topic?: string | null | undefined;
  /** `null` stands for a text that is no user id. */
  readonly inviteeIds?: readonly (string | null)[] | null | undefined;
}

/** Creates a room with the viewer as its owner and first event, and invites users. Throws EMPTY, TOO_LONG, INVALID_INPUT,
 * SLUG_TAKEN, NOT_FOUND, ALREADY_MEMBER, BLOCKED, RATE_LIMITED. */
export async function createRoom(app: App, viewer: Viewer, input: CreateRoomInput): Promise<Room> {
  const kind = parseKind(input.kind);
  const name = parseName(input.name);
  const topic = parseTopic(input.topic);
  const chosenSlug = parseSlug(input.slug);
  const inviteeIds = await parseInvitees(app, viewer, input.inviteeIds ?? []);
  await app.limits.take("createRoom", viewer.userId);
  const draft = { kind, name, topic, slug: chosenSlug ?? makeSlug(name) };
  try {
    return await insertRoom(app, viewer, { draft, inviteeIds });
  } catch (error) {
    if (!isViolationOf(error, "rooms_slug_key")) throw error;
    if (chosenSlug !== null) throw slugTaken(error);
    return await insertRoom(app, viewer, { draft: { ...draft, slug: varySlug(draft.slug) }, inviteeIds });
  }
}

/** Throws INVALID_INPUT for direct conversations, which are opened. */
export function parseKind(kind: RoomKind | null): "PUBLIC" | "PRIVATE" {
  if (kind === "PUBLIC" || kind === "PRIVATE") return kind;
  throw new AppError("INVALID_INPUT", "Cannot use this kind of room: it takes `PUBLIC` or `PRIVATE`", {
    path: ["kind"],
  });
}

async function parseInvitees(app: App, viewer: Viewer, ids: readonly (string | null)[]): Promise<string[]> {
  checkInvitees("inviteeIds", ids);
  const wanted = [...new Set(ids)].filter((id) => id !== null);
  const users = await app.sql<{ id: string; isBlocked: boolean }[]>`
    select id, ${isBlocked(app, app.sql`${viewer.userId}::uuid`, app.sql`users.id`)} as is_blocked
    from users
    where id = any(${wanted}::uuid[])
      and deleted_at is null`;
  for (const [index, id] of ids.entries()) {
    const path = ["inviteeIds", String(index)];
    const user = users.find((each) => each.id === id);
    if (user === undefined) throw noSuchUser(path);
    if (id === viewer.userId) throw new AppError("ALREADY_MEMBER", "Cannot invite the user: it is yourself", { path });
    if (user.isBlocked) throw blockedAt(path);
  }
  return wanted;
}

interface Draft {
  readonly kind: "PUBLIC" | "PRIVATE";
  readonly name: string;
  readonly slug: string;
  readonly topic: string | null;
}

async function insertRoom(
  app: App,
  viewer: Viewer,
  { draft, inviteeIds }: { readonly draft: Draft; readonly inviteeIds: readonly string[] },
): Promise<Room> {
  const { sql } = app;
  const memberId = newId();
  const [made] = await retryDeadlock(() =>
    sql<(Room & { told: string[] })[]>`
    with account as (${lockAccount(app, viewer.userId)}
    ), room as (
      insert into rooms (id, kind, name, slug, topic, creator_id, last_seq, member_count, owner_count)
      select ${newId()}, ${draft.kind}, ${draft.name}, ${draft.slug}, ${draft.topic}, id, 1, 1, 1 from account
      returning *
    ), member as (
      insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
      select ${memberId}, id, creator_id, 'OWNER', last_seq, last_seq from room
    ), ${
      insertInviteRows(
        app,
        sql`
        select wanted.invite_id, users.id, room.id as room_id, room.creator_id as inviter_id
        from unnest(${inviteeIds.map(() => newId())}::uuid[], ${inviteeIds as string[]}::uuid[])
          as wanted (invite_id, user_id)
        join users on users.id = wanted.user_id and users.deleted_at is null
          and not ${isBlocked(app, sql`users.id`, sql`${viewer.userId}::uuid`)}
        cross join room`,
      )
    }, news as (
      select creator_id as user_id, 'ROOM_ADDED' as kind, id as subject_id, null::jsonb as data from room
      union all
      select * from invite_news
    ), ${appendViewerEvents(app)}, event as (
      insert into room_events (room_id, seq, kind, actor_id, subject_id, data)
      select id, last_seq, 'MEMBER_JOINED', creator_id, creator_id, ${sql.json({ memberId, role: "OWNER" })} from room
    )
    select room.*, ${toldUsers(app)} from room`
  );
  if (made === undefined) throw new AppError("UNAUTHENTICATED", "Cannot create the room: the account was deleted");
  const { told, ...room } = made;
  publishViewerEvents(app, told);
  return room;
}
