/** Following the presence of people. Nothing is sent first: the query that fills the screen has shown who is there. What is
 * held back for a slow reader is whose presence changed, never what it was. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { AppError } from "../errors.ts";
import { isVisible, listRelations, type Relation } from "../rooms/relations.ts";
import type { Renderer } from "./fanout.ts";
import { presence, type PresenceChange } from "./presence.ts";
import { holdRoom } from "./room_holds.ts";
import { renderShared } from "./shared_renders.ts";
import { PulledSubscription, type ViewerRenderer } from "./subscriptions.ts";

const USERS_MAX = 200;

type PresenceSubscription = PulledSubscription<PresenceChange, Renderer & ViewerRenderer>;

/** The members of a room, or some users; `null` for a text that is no id. */
export type PresenceTarget =
  | { readonly roomId: string | null }
  | { readonly userIds: readonly (string | null)[] };

/** Changes of those people, as far as the viewer may see them; ids of nobody are left out.
 * Throws BAD_USER_INPUT, NOT_FOUND, NOT_A_MEMBER, RATE_LIMITED. */
export async function followPresence(app: App, viewer: Viewer, target: PresenceTarget): Promise<PresenceSubscription> {
  await app.limits.take("subscribe", viewer.userId);
  return "roomId" in target
    ? await followMembers(app, viewer, target.roomId)
    : followUsers(app, viewer, parseUserIds(target.userIds));
}

/** As they come and go; ends when the viewer is no longer one of them. */
async function followMembers(app: App, viewer: Viewer, roomId: string | null): Promise<PresenceSubscription> {
  const hold = await holdRoom(app, viewer, { roomId });
  const changes = new Changes();
  hold.attachment.listen((events) => {
    for (const { kind, subjectId } of events) if (kind === "MEMBER_REMOVED") changes.drop(subjectId);
  });
  const unfollow = follow(app, [hold.member.roomId], changes);
  return new PulledSubscription(app, (wake, end) => {
    changes.onChange = wake;
    hold.whenRemoved(() => end("removed"));
    return {
      next: () => changes.next((userId) => Promise.resolve(hold.reader.relationTo(userId))),
      render: (renderer, change) => renderShared(renderer, change, { reader: hold.reader }),
      close() {
        unfollow();
        hold.release();
      },
    };
  });
}

function followUsers(app: App, viewer: Viewer, userIds: readonly string[]): PresenceSubscription {
  const changes = new Changes();
  const unfollow = follow(app, userIds, changes);
  const relationTo = async (userId: string) => (await listRelations(app, viewer.userId, [userId]))[0];
  return new PulledSubscription(app, (wake) => {
    changes.onChange = wake;
    return {
      next: () => changes.next(relationTo),
      close: unfollow,
    };
  });
}

function parseUserIds(ids: readonly (string | null)[]): readonly string[] {
  if (ids.length > USERS_MAX) {
    const state = `there are ${ids.length}, the limit is ${USERS_MAX}`;
    throw new AppError("BAD_USER_INPUT", `Cannot follow the users: ${state}`, { limit: USERS_MAX });
  }
  return [...new Set(ids)].filter((id) => id !== null);
}

function follow(app: App, ids: readonly string[], changes: Changes): () => void {
  const unfollows = ids.map((id) => app.once(presence).follow(id, (change) => changes.hear(change)));
  return () => {
    for (const unfollow of unfollows) unfollow();
  };
}

/** Whose presence has changed and was not sent yet, longest ago first. */
class Changes {
  onChange = () => {};
  readonly #byUser = new Map<string, PresenceChange>();

  hear(change: PresenceChange): void {
    this.#byUser.set(change.userId, change);
    this.onChange();
  }

  drop(userId: string): void {
    this.#byUser.delete(userId);
  }

  /** The next one that the viewer may see. */
  async next(relationTo: (userId: string) => Promise<Relation | undefined>): Promise<PresenceChange | null> {
    for (const userId of this.#byUser.keys()) {
      const relation = await relationTo(userId);
      const change = this.#byUser.get(userId);
      if (change === undefined) continue; // left meanwhile
      this.#byUser.delete(userId);
      if (relation && isVisible(relation)) return change;
    }
    return null;
  }
}
