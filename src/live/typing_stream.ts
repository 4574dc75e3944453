/** Telling a room that one types, and following who does. A stream sends who types now, and again with each change; who
 * reads slowly gets the newest state. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { notAMember } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { isVisible, type Reader } from "../rooms/relations.ts";
import type { Renderer } from "./fanout.ts";
import { holdRoom } from "./room_holds.ts";
import { renderShared } from "./shared_renders.ts";
import { PulledSubscription, type ViewerRenderer } from "./subscriptions.ts";
import { typingRooms, type TypingState } from "./typing.ts";

export interface TypingInput {
  /** `null` for a text that is no room id. */
  readonly roomId: string | null;
  readonly isTyping: boolean;
}

/** Says that the viewer types, or has stopped, and returns when the indicator fades. Throws NOT_FOUND, NOT_A_MEMBER,
 * FORBIDDEN for one who may not write, RATE_LIMITED. */
export async function setTyping(app: App, viewer: Viewer, { roomId, isTyping }: TypingInput): Promise<Date | null> {
  await app.limits.take("typing", viewer.userId);
  using cleanUp = new DisposableStack();
  const hold = await holdRoom(app, viewer, { roomId });
  cleanUp.defer(() => hold.release());
  if (isTyping) requirePermission(hold.member, "SEND_MESSAGES", "roomId");
  const typing = cleanUp.use(await app.once(typingRooms).hold(hold.member.roomId));
  if (hold.isRemoved) throw notAMember();
  if (isTyping) return typing.start(viewer.userId);
  typing.stop(viewer.userId);
  return null;
}

/** Who types in the room, now and with each change. Ends when the viewer is no longer a member.
 * Throws NOT_FOUND, NOT_A_MEMBER, RATE_LIMITED. */
export async function followTyping(
  app: App,
  viewer: Viewer,
  roomId: string | null,
): Promise<PulledSubscription<TypingState, Renderer & ViewerRenderer>> {
  await app.limits.take("subscribe", viewer.userId);
  using cleanUp = new DisposableStack();
  const hold = await holdRoom(app, viewer, { roomId });
  cleanUp.defer(() => hold.release());
  const typing = cleanUp.use(await app.once(typingRooms).hold(hold.member.roomId));
  const held = cleanUp.move();
  let sent: TypingState | null = null;
  return new PulledSubscription(app, (wake, end) => {
    typing.onChange(wake);
    hold.whenRemoved(() => end("removed"));
    return {
      next: () => Promise.resolve(typing.state === sent ? null : sent = typing.state),
      // Once for all who see the same: everyone but those who type themselves, or must not see one who does.
      render: (renderer, state) =>
        state.userIds.some((userId) => isHidden(hold.reader, userId))
          ? renderer.renderForViewer(state)
          : renderShared(renderer, state, { reader: hold.reader, facts: { typing: state } }),
      close: () => held.dispose(),
    };
  });
}

function isHidden({ userId, relationTo }: Reader, other: string): boolean {
  return userId === other || !isVisible(relationTo(other));
}
