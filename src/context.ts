/** What a resolver gets: a request's own context, or the shared one of a live batch that is executed once for many. */
import DataLoader from "dataloader";
import type { App } from "./app.ts";
import type { SignedIn } from "./auth/sessions.ts";
import { verifyAccessToken } from "./auth/tokens.ts";
import type { Viewer } from "./auth/viewer.ts";
import { AppError } from "./errors.ts";
import { NeedsViewer } from "./live/fanout.ts";
import { listMemberships, type Member } from "./rooms/members.ts";
import { listRelations, type Reader, type Relation, STRANGERS } from "./rooms/relations.ts";

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
  /** The viewer's membership in a room, batched; `null` for one who is not in it. */
  memberOf(roomId: string): Promise<Member | null>;
  fillSlot<Value>(slot: ViewerSlot<Value>): Value | Promise<Value>;
  /** Makes the rest of the operation the new viewer's, and returns what it was given. */
  signIn(signedIn: SignedIn): SignedIn;
  /** Drops what was loaded: a mutation must not be answered with rows from before it. */
  forget(): void;
}

/** The signed-in viewer. Throws UNAUTHENTICATED. */
export function requireViewer({ viewer }: Context): Viewer {
  if (viewer === null) throw new AppError("UNAUTHENTICATED", "Cannot do this: sign in first");
  return viewer;
}

export class ViewerContext implements Context {
  readonly #memberships: DataLoader<string, Member | null>;
  readonly #relations: DataLoader<string, Relation>;

  constructor(readonly app: App, public viewer: Viewer | null, readonly ipAddress: string | null) {
    this.#memberships = new DataLoader(async (roomIds) => {
      const members = this.viewer === null ? [] : await listMemberships(app, this.viewer, roomIds);
      return roomIds.map((roomId) => members.find((member) => member.roomId === roomId) ?? null);
    });
    this.#relations = new DataLoader(async (userIds) =>
      this.viewer === null ? userIds.map(() => STRANGERS) : await listRelations(app, this.viewer.userId, userIds)
    );
  }

  memberOf(roomId: string): Promise<Member | null> {
    return this.#memberships.load(roomId);
  }

  fillSlot<Value>({ roomId, userId: otherId, fill }: ViewerSlot<Value>): Value | Promise<Value> {
    const userId = this.viewer?.userId ?? "";
    if (roomId === undefined && otherId === undefined) return fill({ userId, role: null, relationTo: () => STRANGERS });
    return Promise.all([
      roomId === undefined ? null : this.memberOf(roomId),
      otherId === undefined ? STRANGERS : this.#relations.load(otherId),
    ]).then(([member, relation]) => fill({ userId, role: member?.role ?? null, relationTo: () => relation }));
  }

  signIn(signedIn: SignedIn): SignedIn {
    this.viewer = signedIn.viewer;
    return signedIn;
  }

  forget(): void {
    this.#memberships.clearAll();
    this.#relations.clearAll();
  }
}

/** Context of one batch that is executed for a whole group. Nothing in it belongs to anyone: what asks for a viewer
 * without having declared a slot makes the operation fall back to one execution per viewer, never to a wrong answer. */
export class SharedContext implements Context {
  readonly ipAddress = null;
  readonly slots: ViewerSlot<unknown>[] = [];
  #neededViewer = false;

  constructor(readonly app: App) {}

  get viewer(): never {
    this.#neededViewer = true;
    throw new NeedsViewer();
  }

  /** Whether the result is worthless because a resolver asked for the viewer. */
  get neededViewer(): boolean {
    return this.#neededViewer;
  }

  memberOf(): Promise<never> {
    return Promise.resolve().then(() => this.viewer);
  }

  fillSlot<Value>(slot: ViewerSlot<Value>): Value {
    this.slots.push(slot);
    return slot.placeholder;
  }

  signIn(): never {
    throw new TypeError("Nobody signs in within a live batch");
  }

  forget(): void {}
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
