/** All rooms that somebody on this node follows: opens and closes their streams, and finds what no hint told of. */
import type { App } from "../app.ts";
import { keepSweeping } from "../platform/sweeps.ts";
import { repeat } from "../platform/timers.ts";
import { type Follower, Group } from "./fanout.ts";
import { type OnAppend, RoomStream } from "./room_stream.ts";
import { TEND_MS } from "./subscriptions.ts";

interface LiveRoom {
  readonly stream: Promise<RoomStream | null>;
  readonly groups: Map<string, Group>;
  readonly listeners: Set<OnAppend>;
  /** Followers, and callers on their way to become one. */
  users: number;
}

export function liveRooms(app: App): LiveRooms {
  return new LiveRooms(app);
}

/** A follower's hold on a room. */
export interface Attachment {
  readonly stream: RoomStream;
  /** Begins to serve the follower. */
  join(follower: Follower): void;
  /** Calls the listener with new events, in order, until the returned function or `leave` is called. */
  listen(listener: OnAppend): () => void;
  /** Lets go; the follower gets nothing any more. Idempotent. */
  leave(): void;
}

export class LiveRooms implements AsyncDisposable {
  readonly #rooms = new Map<string, LiveRoom>();
  readonly #timers = new AsyncDisposableStack();

  constructor(private readonly app: App) {
    this.#timers.use(repeat(TEND_MS, () => this.#tend()));
    this.#timers.use(keepSweeping(app, () => this.#sweep()));
  }

  /** Attaches to the room, so that every event committed from now on is seen. `null` when there is no such room. */
  async attach(roomId: string): Promise<Attachment | null> {
    const room = this.#rooms.get(roomId) ?? this.#open(roomId);
    room.users++;
    const release = this.#releaser(roomId, room);
    try {
      const stream = await room.stream;
      if (stream === null) {
        release();
        return null;
      }
      let joined: Follower | null = null;
      const own = new Set<OnAppend>();
      const listen = (listener: OnAppend) => {
        const heard: OnAppend = (events) => listener(events); // listening twice, one is told twice
        own.add(heard);
        room.listeners.add(heard);
        return () => {
          own.delete(heard);
          room.listeners.delete(heard);
        };
      };
      const leave = () => {
        if (joined) { for (const group of room.groups.values()) group.delete(joined); }
        for (const heard of own) room.listeners.delete(heard);
        release();
      };
      const join = (follower: Follower) => {
        joined = follower;
        this.#join(room, stream, follower);
      };
      return { stream, join, listen, leave };
    } catch (error) {
      release();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#timers.disposeAsync();
    for (const { stream } of this.#rooms.values()) this.app.background(stream.then((opened) => opened?.close()));
    this.#rooms.clear();
  }

  #open(roomId: string): LiveRoom {
    const groups = new Map<string, Group>();
    const listeners = new Set<OnAppend>();
    const onAppend: OnAppend = (events) => {
      for (const group of groups.values()) group.advance();
      for (const listener of listeners) listener(events);
    };
    const room = { stream: RoomStream.open(this.app, roomId, onAppend), groups, listeners, users: 0 };
    this.#rooms.set(roomId, room);
    return room;
  }

  #releaser(roomId: string, room: LiveRoom): () => void {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      for (const [key, group] of room.groups) if (group.size === 0) room.groups.delete(key);
      if (--room.users > 0) return;
      if (this.#rooms.get(roomId) === room) this.#rooms.delete(roomId);
      this.app.background(room.stream.then((stream) => stream?.close(), () => {}));
    };
  }

  #join(room: LiveRoom, stream: RoomStream, follower: Follower): void {
    const key = follower.renderer.key();
    let group = room.groups.get(key);
    if (group === undefined) {
      group = new Group(this.app, stream, follower.renderer, (followers) => {
        if (room.groups.get(key) === group) room.groups.delete(key);
        for (const split of followers) this.#join(room, stream, split);
      });
      room.groups.set(key, group);
    }
    group.add(follower);
  }

  #tend(): void {
    const nowMs = Date.now();
    for (const { groups } of this.#rooms.values()) for (const group of groups.values()) group.tend(nowMs);
  }

  /** Compares the heads of all followed rooms with the database. */
  async #sweep(): Promise<void> {
    if (this.#rooms.size === 0) return;
    const heads = await this.app.sql<{ id: string; lastSeq: number }[]>`
      select id, last_seq
      from rooms
      where id = any(${[...this.#rooms.keys()]}::uuid[])`;
    for (const { id, lastSeq } of heads) {
      const stream = await this.#rooms.get(id)?.stream.catch(() => null); // one that cannot be opened has told its callers
      stream?.announce(lastSeq);
    }
  }
}
