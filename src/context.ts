/** What a resolver gets: a request's own context, or the shared one of a live batch that is executed once for many. */
import DataLoader from "dataloader";
import type { App } from "./app.ts";
import type { Connection } from "./auth/connections.ts";
import type { SignedIn } from "./auth/sessions.ts";
import { verifyAccessToken } from "./auth/tokens.ts";
import type { Viewer } from "./auth/viewer.ts";
import { AppError } from "./errors.ts";
import { NeedsViewer, type SharedFacts } from "./live/fanout.ts";
import { newestTyping, typingRooms } from "./live/typing.ts";
import { listUnread, NOTHING, sumUnread, type Unread, type UnreadRoom } from "./messages/unread.ts";
import { listParticipants, type Participant } from "./rooms/direct_rooms.ts";
import { listMemberships, type Member } from "./rooms/members.ts";
import { areMembers, isVisible, listRelations, type Reader, type Relation, STRANGERS } from "./rooms/relations.ts";

/** Where in the result a field is; the shape of `info.path`. */
export interface FieldPath {
  readonly prev: FieldPath | undefined;
  readonly key: string | number;
}

/** A field that depends on who asks: a pure, synchronous function of its parent (bound in `fill`) and the reader. */
export interface ViewerSlot<Value> {
  readonly path: FieldPath;
  /** Room that the reader's role is looked up in, where the role plays a part. */
  readonly roomId?: string | undefined;
  /** The only one whose relation to the reader `fill` asks for, where it plays a part. */
  readonly userId?: string | undefined;
  readonly fill: (reader: Reader) => Value;
  /** Any valid value of the field; it stands in the shared result until each reader's own takes its place. */
  readonly placeholder: Value;
}

export interface Context {
  readonly app: App;
  /** Who asks; `null` for nobody. Throws `NeedsViewer` in a shared execution. */
  readonly viewer: Viewer | null;
  readonly ipAddress: string | null;
  /** Aborted when nobody wants the answer any more; `null` where it must not wait for anything: in a live stream.
   * Deno 2.9.6 does not always notice a client that went away after a POST with more than a few hundred bytes. */
  readonly signal: AbortSignal | null;
  /** The socket that the operation came on; `null` where there is none, and in a live stream. */
  readonly connection: Connection | null;
  /** The viewer's membership in a room, batched; `null` for one who is not in it. */
  memberOf(roomId: string): Promise<Member | null>;
  /** Ids of the users whom the viewer sees typing in the room, the newest last. */
  typingIn(roomId: string): Promise<readonly string[]>;
  /** What the viewer has not read in a room, batched; nothing for one who is not in it. */
  unreadIn(roomId: string): Promise<Unread>;
  /** What the viewer has not read in all rooms. */
  unreadInAll(): Promise<Unread>;
  /** The people of a direct conversation, batched; also in a shared execution. */
  participantsOf(roomId: string): Promise<readonly Participant[]>;
  fillSlot<Value>(slot: ViewerSlot<Value>): Value | Promise<Value>;
  /** Makes the rest of the operation the new viewer's, and returns what it was given. */
  signIn(signedIn: SignedIn): SignedIn;
  /** Makes the rest of the operation nobody's. */
  signOut(): void;
  /** Drops what was loaded: a mutation must not be answered with rows from before it. */
  forget(): void;
}

/** The signed-in viewer. Throws UNAUTHENTICATED. */
export function requireViewer({ viewer }: Context): Viewer {
  if (viewer === null) throw new AppError("UNAUTHENTICATED", "Cannot do this: sign in first");
  return viewer;
}

export class ViewerContext implements Context {
  readonly connection: Connection | null = null;
  readonly #memberships: DataLoader<string, Member | null>;
  readonly #relations: DataLoader<string, Relation>;
  readonly #unread: DataLoader<string, Unread>;
  /** Of all rooms, once somebody has asked for the totals. */
  #allUnread: Promise<readonly UnreadRoom[]> | null = null;
  readonly #participants: DataLoader<string, Participant[]>;

  constructor(
    readonly app: App,
    public viewer: Viewer | null,
    readonly ipAddress: string | null,
    readonly signal: AbortSignal | null = null,
  ) {
    this.#memberships = new DataLoader(async (roomIds) => {
      const members = this.viewer === null ? [] : await listMemberships(app, this.viewer, roomIds);
      return roomIds.map((roomId) => members.find((member) => member.roomId === roomId) ?? null);
    });
    this.#relations = new DataLoader(async (userIds) =>
      this.viewer === null ? userIds.map(() => STRANGERS) : await listRelations(app, this.viewer.userId, userIds)
    );
    this.#unread = new DataLoader(async (roomIds) => {
      const rooms = await (this.#allUnread ?? this.#listUnread(roomIds));
      const unreadOf = new Map(rooms.map((room) => [room.roomId, room]));
      return roomIds.map((roomId) => unreadOf.get(roomId) ?? NOTHING);
    });
    this.#participants = participantLoader(app);
  }

  unreadIn(roomId: string): Promise<Unread> {
    return this.#unread.load(roomId);
  }

  async unreadInAll(): Promise<Unread> {
    this.#allUnread ??= this.#listUnread(null);
    return sumUnread(await this.#allUnread);
  }

  memberOf(roomId: string): Promise<Member | null> {
    return this.#memberships.load(roomId);
  }

  async typingIn(roomId: string): Promise<readonly string[]> {
    const userIds = this.app.once(typingRooms).typingIn(roomId);
    if (userIds.length === 0 || await this.memberOf(roomId) === null) return [];
    const relations = await this.#relations.loadMany(userIds);
    return newestTyping(userIds.filter((userId, index) => {
      const relation = relations[index];
      if (relation instanceof Error) throw relation;
      return relation !== undefined && userId !== this.viewer?.userId && isVisible(relation);
    }));
  }

  participantsOf(roomId: string): Promise<readonly Participant[]> {
    return this.#participants.load(roomId);
  }

  fillSlot<Value>({ roomId, userId: otherId, fill }: ViewerSlot<Value>): Value | Promise<Value> {
    const userId = this.viewer?.userId ?? "";
    if (roomId === undefined && otherId === undefined) {
      return fill({ userId, role: null, mutedUntil: null, relationTo: () => STRANGERS });
    }
    return Promise.all([
      roomId === undefined ? null : this.memberOf(roomId),
      otherId === undefined ? STRANGERS : this.#relations.load(otherId),
    ]).then(([member, relation]) => {
      const { role = null, mutedUntil = null } = member ?? {};
      return fill({ userId, role, mutedUntil, relationTo: () => relation });
    });
  }

  signIn(signedIn: SignedIn): SignedIn {
    this.viewer = signedIn.viewer;
    return signedIn;
  }

  signOut(): void {
    this.viewer = null;
  }

  forget(): void {
    this.#memberships.clearAll();
    this.#relations.clearAll();
    this.#unread.clearAll();
    this.#allUnread = null;
    this.#participants.clearAll();
  }

  async #listUnread(roomIds: readonly string[] | null): Promise<readonly UnreadRoom[]> {
    return this.viewer === null ? [] : await listUnread(this.app, this.viewer, roomIds);
  }
}

/** Context of one batch that is executed for a whole group. Nothing in it belongs to anyone: what asks for a viewer
 * without having declared a slot makes the operation fall back to one execution per viewer, never to a wrong answer. */
export class SharedContext implements Context {
  readonly ipAddress = null;
  readonly signal = null;
  readonly connection = null;
  readonly slots: ViewerSlot<unknown>[] = [];
  readonly #participants: DataLoader<string, Participant[]>;
  /** Whether users are members of the room. */
  readonly #isMember: DataLoader<string, boolean>;
  #neededViewer = false;

  constructor(readonly app: App, private readonly facts: SharedFacts = {}) {
    this.#participants = participantLoader(app);
    this.#isMember = new DataLoader((userIds) => areMembers(app, facts.roomId ?? "", userIds));
  }

  get viewer(): never {
    this.#neededViewer = true;
    throw new NeedsViewer();
  }

  /** Whether the result is worthless because a resolver asked for the viewer. */
  get neededViewer(): boolean {
    return this.#neededViewer;
  }

  memberOf(): Promise<never> {
    return this.#askViewer();
  }

  async typingIn(roomId: string): Promise<readonly string[]> {
    const { typing } = this.facts;
    return typing?.roomId === roomId ? newestTyping(typing.userIds) : await this.#askViewer();
  }

  unreadIn(): Promise<never> {
    return this.#askViewer();
  }

  unreadInAll(): Promise<never> {
    return this.#askViewer();
  }

  participantsOf(roomId: string): Promise<readonly Participant[]> {
    return this.#participants.load(roomId);
  }

  fillSlot<Value>(slot: ViewerSlot<Value>): Value | Promise<Value> {
    const { userId } = slot;
    if (userId !== undefined && this.facts.roomId !== undefined) return this.#fillAbout(slot, userId);
    this.slots.push(slot);
    return slot.placeholder;
  }

  /** The author of an old message may have left the room: of the readers nobody is known to share another with them. */
  async #fillAbout<Value>(slot: ViewerSlot<Value>, userId: string): Promise<Value> {
    const fill = await this.#isMember.load(userId)
      ? slot.fill
      : (reader: Reader) =>
        slot.fill({ ...reader, relationTo: (other) => ({ ...reader.relationTo(other), sharesRoom: false }) });
    this.slots.push({ ...slot, fill });
    return slot.placeholder;
  }

  signIn(): never {
    throw new TypeError("Nobody signs in within a live batch");
  }

  signOut(): void {}

  forget(): void {}

  /** Rejects with `NeedsViewer`, for what is given as a promise. */
  async #askViewer(): Promise<never> {
    return await this.viewer;
  }
}

function participantLoader(app: App): DataLoader<string, Participant[]> {
  return new DataLoader((roomIds) => listParticipants(app, roomIds));
}

/** Who a request comes from. A bad token is kept as an error, because `login` and its like work with one. */
export async function authenticate(
  app: App,
  authorization: string | null,
): Promise<{ viewer: Viewer | null; refusal: AppError | null }> {
  if (authorization === null) return { viewer: null, refusal: null };
  try {
    return { viewer: await verifyAccessToken(app, authorization.replace(/^Bearer +/i, "").trim()), refusal: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { viewer: null, refusal: error };
  }
}
