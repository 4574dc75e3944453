/** Who is typing where, as this node has heard. It lives in memory alone and fades by itself, so what gets lost on the way
 * is made up for within seconds. */
import type { App } from "../app.ts";
import { TYPING_TIMEOUT_SECONDS } from "../config.ts";
import { readRoomEvent, type RoomEvent, roomTopic } from "../rooms/events.ts";
import { nodes } from "./nodes.ts";

/** An indicator that was renewed less than this ago needs no renewal. */
const RENEW_MS = 2_000;
/** Users shown at most, the newest ones. */
const SHOWN_MAX = 20;

/** Who types in a room, the newest last. Another object with each change. */
export interface TypingState {
  readonly roomId: string;
  readonly userIds: readonly string[];
}

interface TypingMessage {
  readonly userId: string;
  readonly isTyping: boolean;
  readonly untilMs: number;
}

interface Typist {
  readonly untilMs: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

interface TypingRoom {
  state: TypingState;
  readonly typists: Map<string, Typist>;
  readonly listeners: Set<() => void>;
  readonly subscribed: Promise<readonly (() => void)[]>;
  holds: number;
}

/** As long as somebody has one, the node hears who types in the room. */
export interface TypingHold extends Disposable {
  readonly state: TypingState;
  /** One listener, called with each change. */
  onChange(listener: () => void): void;
  /** The user types; returns when that fades. Tells others at most once in 2 s. */
  start(userId: string): Date;
  /** The user has stopped. */
  stop(userId: string): void;
}

export function newestTyping(userIds: readonly string[]): readonly string[] {
  return userIds.slice(-SHOWN_MAX);
}

export function typingRooms(app: App): TypingRooms {
  return new TypingRooms(app);
}

export class TypingRooms implements AsyncDisposable {
  readonly #rooms = new Map<string, TypingRoom>();
  readonly #roomsOf = new Map<string, Set<string>>();

  constructor(private readonly app: App) {
    app.once(nodes).onGone((userId) => {
      for (const roomId of [...this.#roomsOf.get(userId) ?? []]) this.#publish(roomId, { userId, isTyping: false });
    });
  }

  typingIn(roomId: string): readonly string[] {
    return this.#rooms.get(roomId)?.state.userIds ?? [];
  }

  async hold(roomId: string): Promise<TypingHold> {
    const room = this.#rooms.get(roomId) ?? this.#open(roomId);
    room.holds++;
    let onChange = () => {};
    const listener = () => onChange();
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      room.listeners.delete(listener);
      room.holds--;
      this.#closeUnused(room);
    };
    try {
      await room.subscribed;
    } catch (error) {
      release();
      throw error;
    }
    room.listeners.add(listener);
    return {
      get state() {
        return room.state;
      },
      onChange: (act) => onChange = act,
      start: (userId) => this.#start(room, userId),
      stop: (userId) => void (room.typists.has(userId) && this.#publish(roomId, { userId, isTyping: false })),
      [Symbol.dispose]: release,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const room of this.#rooms.values()) {
      for (const { timer } of room.typists.values()) clearTimeout(timer);
      this.#unsubscribe(room);
    }
    this.#rooms.clear();
    return Promise.resolve();
  }

  #open(roomId: string): TypingRoom {
    const room: TypingRoom = {
      state: { roomId, userIds: [] },
      typists: new Map(),
      listeners: new Set(),
      subscribed: Promise.all([
        this.app.bus.subscribe(typingTopic(roomId), (message) => isTypingMessage(message) && this.#hear(room, message)),
        this.app.bus.subscribe(roomTopic(roomId), (message) => this.#clear(room, readRoomEvent(message))),
      ]),
      holds: 0,
    };
    this.#rooms.set(roomId, room);
    return room;
  }

  #start(room: TypingRoom, userId: string): Date {
    const now = Date.now();
    const known = room.typists.get(userId)?.untilMs ?? 0;
    const untilMs = now + TYPING_TIMEOUT_SECONDS * 1000;
    if (untilMs - known < RENEW_MS) return new Date(known);
    this.#publish(room.state.roomId, { userId, isTyping: true, untilMs });
    return new Date(untilMs);
  }

  #publish(roomId: string, message: Omit<TypingMessage, "untilMs"> & { readonly untilMs?: number }): void {
    this.app.bus.publish(typingTopic(roomId), { untilMs: 0, ...message });
  }

  #hear(room: TypingRoom, { userId, isTyping, untilMs }: TypingMessage): void {
    if (!isTyping) return this.#remove(room, userId);
    const known = room.typists.get(userId);
    clearTimeout(known?.timer);
    // The clock of another node may be ahead.
    const ms = Math.min(untilMs - Date.now(), TYPING_TIMEOUT_SECONDS * 1000);
    room.typists.set(userId, { untilMs, timer: setTimeout(() => this.#remove(room, userId), ms) });
    if (known) return;
    const { roomId } = room.state;
    this.#roomsOf.set(userId, (this.#roomsOf.get(userId) ?? new Set()).add(roomId));
    this.#change(room);
  }

  /** What is sent is no longer typed; one who is removed or muted types no more. */
  #clear(room: TypingRoom, event: RoomEvent | null): void {
    if (event === null) return;
    const { kind, actorId, subjectId } = event;
    if (kind === "MESSAGE_SENT" && actorId !== null) this.#remove(room, actorId);
    if (kind === "MEMBER_REMOVED" || kind === "MEMBER_UPDATED") this.#remove(room, subjectId);
  }

  #remove(room: TypingRoom, userId: string): void {
    clearTimeout(room.typists.get(userId)?.timer);
    if (!room.typists.delete(userId)) return;
    const rooms = this.#roomsOf.get(userId);
    rooms?.delete(room.state.roomId);
    if (rooms?.size === 0) this.#roomsOf.delete(userId);
    this.#change(room);
    this.#closeUnused(room);
  }

  #change(room: TypingRoom): void {
    room.state = { roomId: room.state.roomId, userIds: [...room.typists.keys()] };
    for (const listener of room.listeners) listener();
  }

  #closeUnused(room: TypingRoom): void {
    const { roomId } = room.state;
    if (room.holds > 0 || room.typists.size > 0 || this.#rooms.get(roomId) !== room) return;
    this.#rooms.delete(roomId);
    this.#unsubscribe(room);
  }

  #unsubscribe(room: TypingRoom): void {
    const unsubscribed = room.subscribed.then((unsubscribes) => {
      for (const unsubscribe of unsubscribes) unsubscribe();
    }, () => {});
    this.app.background(unsubscribed);
  }
}

function typingTopic(roomId: string): string {
  return `typing:${roomId}`;
}

function isTypingMessage(message: unknown): message is TypingMessage {
  const { userId, isTyping, untilMs } = (message ?? {}) as { readonly [Key in keyof TypingMessage]?: unknown };
  return typeof userId === "string" && typeof isTyping === "boolean" && typeof untilMs === "number";
}
