/** What others see of who is there. People who share no room, or of whom one has blocked the other, never see each other
 * there. */
import type { App } from "../app.ts";
import { MemoryBus } from "../platform/bus.ts";
import { isAway, retryDeadlock } from "../platform/sql.ts";
import { pause } from "../platform/timers.ts";
import type { Room } from "../rooms/rooms.ts";
import { isVisible, type Reader } from "../rooms/relations.ts";
import type { PresenceStatus, User } from "../users/users.ts";
import { appendViewerEvents, publishViewerEvents, toldUsers } from "../users/viewer_events.ts";
import { nodes } from "./nodes.ts";

const RETRY_MS = 1_000;

/** Topic of the users who have set another status. */
const STATUS_TOPIC = "presence";

/** Somebody's presence may look different now. Best effort: whoever misses it sees the truth with the next query. */
export interface PresenceChange {
  readonly userId: string;
}

/** Those on this node who follow the presence of others. */
export function presence(app: App): Presence {
  return new Presence(app);
}

export class Presence implements AsyncDisposable {
  /** Topics are ids of rooms, for changes of their members, and of users. */
  readonly #followers: MemoryBus;
  readonly #unsubscribe: Promise<() => void>;
  /** Users of whom nobody was told yet, and whether they have set another status. */
  readonly #changed = new Map<string, boolean>();
  #isTelling = false;
  #isClosed = false;

  constructor(private readonly app: App) {
    this.#followers = new MemoryBus(app.log);
    app.once(nodes).onChange((userIds) => {
      for (const userId of userIds) this.#tell(userId, false);
    });
    this.#unsubscribe = app.bus.subscribe(STATUS_TOPIC, (message) => {
      if (typeof message === "string") this.#tell(message, true);
    });
  }

  /** Calls the listener with changes of the user, or of the members of the room, until the returned function is called. */
  follow(id: string, listener: (change: PresenceChange) => void): () => void {
    return this.#followers.listen(id, (change) => listener(change as PresenceChange));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    (await this.#unsubscribe)();
  }

  #tell(userId: string, hasSetStatus: boolean): void {
    this.#add(userId, hasSetStatus);
    if (this.#isTelling || this.#isClosed) return;
    this.#isTelling = true;
    this.app.background(this.#tellAll());
  }

  #add(userId: string, hasSetStatus: boolean): void {
    this.#changed.set(userId, hasSetStatus || (this.#changed.get(userId) ?? false));
  }

  async #tellAll(): Promise<void> {
    try {
      while (this.#changed.size > 0 && !this.#isClosed) {
        const changes = [...this.#changed];
        this.#changed.clear();
        await this.#publish(changes).catch(async (error) => {
          if (!isAway(error)) throw error;
          for (const [userId, hasSetStatus] of changes) this.#add(userId, hasSetStatus);
          await pause(RETRY_MS);
        });
      }
    } finally {
      this.#isTelling = false; // not a microtask later: a change that came in between would be told to nobody
    }
  }

  /** One statement for all who have come or gone meanwhile, however many rooms they are in. */
  async #publish(changes: readonly (readonly [userId: string, hasSetStatus: boolean])[]): Promise<void> {
    const followed = this.#followers.topics();
    if (followed.length === 0) return;
    const userIds = changes.map(([userId]) => userId);
    const withNewStatus = changes.flatMap(([userId, hasSetStatus]) => hasSetStatus ? userId : []);
    // Who is invisible changes nothing for others by coming and going.
    const visible = await this.app.sql<{ id: string; roomIds: string[] }[]>`
      select id, array(
        select room_id
        from members
        where user_id = users.id
          and room_id = any(${followed}::uuid[])
      ) as room_ids
      from users
      where id = any(${userIds}::uuid[])
        and (presence <> 'OFFLINE' or id = any(${withNewStatus}::uuid[]))`;
    for (const { id: userId, roomIds } of visible) {
      for (const id of [userId, ...roomIds]) this.#followers.publish(id, { userId } satisfies PresenceChange);
    }
  }
}

/** What the reader sees of the user: the own status as it was set, that of others only where both may know of each other. */
export function presenceStatusFor(user: User, { userId, relationTo }: Reader, app: App): PresenceStatus {
  if (user.id === userId) return user.presence;
  return isVisible(relationTo(user.id)) && app.once(nodes).has(user.id) ? user.presence : "OFFLINE";
}

/** When the user was last shown online; `null` while that is so, and for those who may not see it. */
export function lastSeenFor(user: User, reader: Reader, app: App): Date | null {
  if (presenceStatusFor(user, reader, app) !== "OFFLINE") return null;
  return user.id === reader.userId || isVisible(reader.relationTo(user.id)) ? user.lastSeenAt : null;
}

/** Sets what others see while the user is connected, and returns the user's id. Throws RATE_LIMITED. */
export async function setPresence(app: App, userId: string, status: PresenceStatus): Promise<string> {
  await app.limits.take("presence", userId);
  const isConnected = app.once(nodes).has(userId);
  const [change] = await retryDeadlock(() =>
    app.sql<{ isNew: boolean; told: string[] }[]>`
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
    select exists (select from changed) as is_new, ${toldUsers(app)}`
  );
  publishViewerEvents(app, change?.told ?? []);
  if (isConnected && change?.isNew) app.bus.publish(STATUS_TOPIC, userId);
  return userId;
}

/** How many users are shown online. */
export async function countOnline(app: App): Promise<number> {
  await app.once(nodes).settled();
  const [row] = await app.sql<{ count: number }[]>`
    select count(distinct user_id)
    from connections
    join users on users.id = user_id
    where presence <> 'OFFLINE'`;
  return row?.count ?? 0;
}

/** How many members of each of these rooms are shown online, in their order. */
export async function countOnlineMembers(app: App, rooms: readonly Room[]): Promise<number[]> {
  await app.once(nodes).settled();
  const roomIds = rooms.flatMap(({ id, isHidden }) => isHidden ? [] : id);
  const counts = await app.sql<{ roomId: string; count: number }[]>`
    select room_id, count(*)
    from members
    join users on users.id = user_id
    where room_id = any(${roomIds as string[]}::uuid[])
      and exists (select from connections where connections.user_id = members.user_id)
      and presence <> 'OFFLINE'
    group by room_id`;
  const countOf = new Map(counts.map(({ roomId, count }) => [roomId, count]));
  return rooms.map(({ id }) => countOf.get(id) ?? 0);
}
