/** Who is there, and what others see of it. One is online from the first connection on, and offline a moment after the last
 * one is gone. People who share no room, or of whom one has blocked the other, never see each other there. */
import type { App } from "../app.ts";
import { isAway, retryDeadlock } from "../platform/sql.ts";
import type { Room } from "../rooms/rooms.ts";
import { isVisible, type Reader } from "../rooms/relations.ts";
import type { PresenceStatus, User } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";

/** How long one whose last connection has gone is still shown online: a reloaded tab comes back sooner. */
const GRACE_SECONDS = 5;
const RETRY_MS = 1_000;

/** Somebody's presence may look different now. Best effort: whoever misses it sees the truth with the next query. */
export interface PresenceChange {
  readonly userId: string;
}

/** Who is connected. Everything below asks only this; who knows it may become another. */
export interface Connected {
  has(userId: string): boolean;
  ids(): readonly string[];
  /** Calls the listener with each user whose last connection goes, at once. */
  onGone(listener: (userId: string) => void): void;
}

/** Topic of the changes in a room's members, or of one user. */
export function presenceTopic(id: string): string {
  return `presence:${id}`;
}

export function isPresenceChange(message: unknown): message is PresenceChange {
  return typeof (message as Partial<PresenceChange> | null)?.userId === "string";
}

/** The connections of this node. */
export function presence(app: App): Presence {
  return new Presence(app);
}

export class Presence implements Connected, AsyncDisposable {
  readonly #connections = new Map<string, number>();
  readonly #leaving = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #listeners = new Set<(userId: string) => void>();
  readonly #changed = new Set<string>();
  #isTelling = false;
  #isClosed = false;

  constructor(private readonly app: App) {}

  has(userId: string): boolean {
    return this.#connections.has(userId) || this.#leaving.has(userId);
  }

  ids(): readonly string[] {
    return [...this.#connections.keys(), ...this.#leaving.keys()];
  }

  onGone(listener: (userId: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Counts a connection of the user until the returned function is called. */
  arrive(userId: string): () => void {
    const wasThere = this.has(userId);
    clearTimeout(this.#leaving.get(userId));
    this.#leaving.delete(userId);
    this.#connections.set(userId, (this.#connections.get(userId) ?? 0) + 1);
    if (!wasThere) this.#tell(userId);
    let hasLeft = false;
    return () => {
      if (!hasLeft) this.#depart(userId);
      hasLeft = true;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    if (this.ids().length === 0) return;
    await this.app.sql`
      update users
      set last_seen_at = now()
      where id = any(${this.ids() as string[]}::uuid[])
        and presence <> 'OFFLINE'`.catch((error) => {
      this.app.log.warn("Cannot note who was online", { error });
    });
  }

  #depart(userId: string): void {
    const left = (this.#connections.get(userId) ?? 1) - 1;
    if (left > 0) return void this.#connections.set(userId, left);
    if (this.#isClosed) return;
    this.#connections.delete(userId);
    const timer = setTimeout(() => {
      this.#leaving.delete(userId);
      this.#tell(userId);
    }, GRACE_SECONDS * 1000);
    this.#leaving.set(userId, timer);
    for (const listener of this.#listeners) listener(userId);
  }

  #tell(userId: string): void {
    this.#changed.add(userId);
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.app.background(this.#tellAll());
  }

  // Who comes or goes meanwhile goes into the next statement: a crowd that reconnects is a few statements.
  async #tellAll(): Promise<void> {
    try {
      while (this.#changed.size > 0 && !this.#isClosed) {
        const userIds = [...this.#changed];
        this.#changed.clear();
        await this.#announce(userIds).catch(async (error) => {
          if (!isAway(error)) throw error;
          for (const userId of userIds) this.#changed.add(userId);
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        });
      }
    } finally {
      this.#isTelling = false; // not a microtask later: a change that came in between would be told to nobody
    }
  }

  async #announce(userIds: readonly string[]): Promise<void> {
    const gone = userIds.filter((userId) => !this.has(userId));
    // Who is invisible changes nothing for others: not even the time of the last visit.
    const visible = await retryDeadlock(() =>
      this.app.sql<{ id: string; roomIds: string[] }[]>`
        with gone as (
          update users
          set last_seen_at = now() - make_interval(secs => ${GRACE_SECONDS})
          where id = any(${gone}::uuid[])
            and presence <> 'OFFLINE'
        )
        select id, array(select room_id from members where user_id = users.id) as room_ids
        from users
        where id = any(${userIds as string[]}::uuid[])
          and presence <> 'OFFLINE'`
    );
    for (const { id, roomIds } of visible) publishPresence(this.app, id, roomIds);
  }
}

/** What the reader sees of the user: the own status as it was set, that of others only where both may know of each other. */
export function presenceStatusFor(user: User, { userId, relationTo }: Reader, app: App): PresenceStatus {
  if (user.id === userId) return user.presence;
  return isVisible(relationTo(user.id)) && app.once(presence).has(user.id) ? user.presence : "OFFLINE";
}

/** When the user was last shown online; `null` while that is so, and for those who may not see it. */
export function lastSeenFor(user: User, reader: Reader, app: App): Date | null {
  if (presenceStatusFor(user, reader, app) !== "OFFLINE") return null;
  return user.id === reader.userId || isVisible(reader.relationTo(user.id)) ? user.lastSeenAt : null;
}

/** Sets what others see while the user is connected, and returns the user's id. Throws RATE_LIMITED. */
export async function setPresence(app: App, userId: string, status: PresenceStatus): Promise<string> {
  await app.limits.take("presence", userId);
  const isConnected = app.once(presence).has(userId);
  const [change] = await retryDeadlock(() =>
    app.sql<{ isNew: boolean; roomIds: string[]; told: string[] }[]>`
    with old as (
      select id, presence
      from users
      where id = ${userId}
      for no key update -- foreign keys of statements that tell the user something wait for more
    ), changed as (
      update users
      set presence = ${status},
        -- Going invisible looks like going.
        last_seen_at = case when ${isConnected && status === "OFFLINE"} then now() else last_seen_at end
      from old
      where users.id = old.id
        and old.presence <> ${status}
      returning users.id
    ), news as (
      select id as user_id, 'VIEWER_UPDATED' as kind, id as subject_id, null::jsonb as data from changed
    ), ${appendViewerEvents(app)}
    select exists (select from changed) as is_new,
      array(select room_id from members where user_id = ${userId}) as room_ids,
      ${toldUsers(app)}`
  );
  publishViewerEvents(app, change?.told ?? []);
  if (isConnected && change?.isNew) publishPresence(app, userId, change.roomIds);
  return userId;
}

/** How many users are shown online. */
export async function countOnline(app: App): Promise<number> {
  const [row] = await app.sql<{ count: number }[]>`
    select count(*)
    from users
    where id = any(${app.once(presence).ids() as string[]}::uuid[])
      and presence <> 'OFFLINE'`;
  return row?.count ?? 0;
}

/** How many members of each of these rooms are shown online, in their order. */
export async function countOnlineMembers(app: App, rooms: readonly Room[]): Promise<number[]> {
  const roomIds = rooms.flatMap(({ id, isHidden }) => isHidden ? [] : id);
  const counts = await app.sql<{ roomId: string; count: number }[]>`
    select members.room_id, count(*)
    from members
    join users on users.id = members.user_id
    where members.room_id = any(${roomIds as string[]}::uuid[])
      and members.user_id = any(${app.once(presence).ids() as string[]}::uuid[])
      and users.presence <> 'OFFLINE'
    group by members.room_id`;
  const countOf = new Map(counts.map(({ roomId, count }) => [roomId, count]));
  return rooms.map(({ id }) => countOf.get(id) ?? 0);
}

function publishPresence(app: App, userId: string, roomIds: readonly string[]): void {
  const change: PresenceChange = { userId };
  for (const id of [userId, ...roomIds]) app.bus.publish(presenceTopic(id), change);
}
