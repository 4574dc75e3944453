/** A viewer's hold on a room: attached to its stream first, a member by a look at the database afterwards, so that no
 * removal falls between the two. Streams and waiting polls begin with one. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import type { EventCursor } from "../lib/event_cursors.ts";
import { type Member, noSuchRoom, requireMember } from "../rooms/members.ts";
import type { RoomRole } from "../rooms/events.ts";
import type { Reader } from "../rooms/relations.ts";
import { liveBlocks } from "./blocks.ts";
import { type Attachment, liveRooms } from "./live_rooms.ts";
import type { LiveEvent } from "./room_stream.ts";

export interface RoomHold {
  readonly member: Member;
  readonly attachment: Attachment;
  /** Head of the log before the membership was read: a removal that the query did not see yet has a higher number. */
  readonly head: number;
  /** Facts about the viewer now. */
  readonly reader: Reader;
  /** Whether the viewer has been removed since. */
  readonly isRemoved: boolean;
  /** Calls `act`, perhaps again and again, when the viewer is no longer a member; at once, if that is so already. */
  whenRemoved(act: () => void): void;
  /** Idempotent. */
  release(): void;
}

export interface HoldInput {
  /** `null` for a text that is no room id. */
  readonly roomId: string | null;
  /** Where the viewer wants to go on, if the position plays a part. */
  readonly cursor?: EventCursor | null;
}

/** Throws NOT_FOUND, NOT_A_MEMBER. */
export async function holdRoom(app: App, viewer: Viewer, { roomId, cursor = null }: HoldInput): Promise<RoomHold> {
  const attachment = roomId === null ? null : await app.once(liveRooms).attach(roomId);
  if (attachment === null) throw noSuchRoom();
  const blocks = app.once(liveBlocks).watch(viewer.userId);
  const release = () => {
    attachment.leave();
    blocks.release();
  };
  try {
    const watch = new MemberWatch(attachment, viewer.userId);
    await blocks.loaded;
    const { stream } = attachment;
    // Another node may have told the client of an event whose hint has not come here yet.
    if (cursor !== null && cursor.seq > stream.head) await stream.refresh();
    const head = stream.head;
    const member = await requireMember(app, viewer, roomId);
    watch.begin(member, head);
    // Whoever appears in the room shares it with the reader.
    const relationTo = (other: string) => ({ sharesRoom: true, ...blocks.with(other) });
    return {
      member,
      attachment,
      head,
      get reader() {
        const { userId, mutedUntil } = member;
        return { userId, role: watch.role ?? member.role, mutedUntil, relationTo };
      },
      get isRemoved() {
        return watch.isRemoved;
      },
      whenRemoved: (act) => watch.whenRemoved(act),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** What the room's events say of one member. They are heard from before the membership is read. */
class MemberWatch {
  /** `null` until it changes. */
  role: RoomRole | null = null;
  #removedSeq = 0;
  #updated: LiveEvent | undefined;
  /** What is older belongs to an earlier membership. */
  #joinedSeq = Infinity;
  #readSeq = Infinity;
  #act = () => {};

  constructor(attachment: Attachment, private readonly userId: string) {
    attachment.listen((events) => this.#hear(events));
  }

  get isRemoved(): boolean {
    return this.#removedSeq > this.#joinedSeq;
  }

  begin({ joinedSeq }: Member, readSeq: number): void {
    this.#joinedSeq = joinedSeq;
    this.#readSeq = readSeq;
    this.#settle();
  }

  whenRemoved(act: () => void): void {
    this.#act = act;
    this.#settle();
  }

  #hear(events: readonly LiveEvent[]): void {
    for (const event of events) {
      if (event.subjectId !== this.userId) continue;
      if (event.kind === "MEMBER_REMOVED") this.#removedSeq = event.seq;
      if (event.kind === "MEMBER_UPDATED") this.#updated = event;
    }
    this.#settle();
  }

  #settle(): void {
    if (this.#updated && this.#updated.seq > this.#readSeq) this.role = this.#updated.data?.role ?? this.role;
    if (this.isRemoved) this.#act();
  }
}
