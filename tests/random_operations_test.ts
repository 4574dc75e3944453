/** Counts never drift: after thousands of random operations by many people at once, every count that anybody sees is what a
 * count from scratch gives. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { eventually, inTime } from "./support/eventually.ts";
import { mutate } from "./support/mutations.ts";
import { seededRandom } from "./support/random.ts";
import { Subscription } from "./support/subscriptions.ts";
import { textFile, upload } from "./support/uploads.ts";

const OPERATIONS = 10_000;
const PEOPLE = 10;
const ROOMS = 5;
const EMOJI = ["👍", "🎉", "❤️", "😀"];
/** Codes that a random operation may well be refused with. */
const EXPECTED = [
  ...["NOT_A_MEMBER", "NOT_FOUND", "FORBIDDEN", "NOT_EDITABLE", "LAST_OWNER", "TOO_LONG", "ALREADY_MEMBER", "BANNED"],
];

const COUNTS = `query { viewer { unreadCount mentionCount rooms(first: 5) { nodes {
  id memberCount viewerUnreadCount viewerMentionCount
  messages(last: 50) { nodes { id replyCount attachments { id } reactionGroups { emoji count viewerHasReacted } } }
} } } }`;
const VIEWER_EVENTS = `subscription ($after: String) { viewerEvents(after: $after) { cursor events {
  ... on RoomActivityEvent { room { id viewerUnreadCount viewerMentionCount } viewer { unreadCount mentionCount } }
  ... on RoomAddedEvent { room { id viewerUnreadCount viewerMentionCount } }
  ... on RoomRemovedEvent { removedRoomId }
  ... on ViewerUpdatedEvent { viewer { unreadCount mentionCount } }
} } }`;

Deno.test(`after ${OPERATIONS} random operations by ${PEOPLE} people in ${ROOMS} rooms, every count equals a recount`, async (t) => {
  await using app = await startApp();
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
  const people: Person[] = [];
  for (let index = 0; index < PEOPLE; index++) people.push(await app.signUp(`p${index}`));
  const [first, second] = people as [Person, Person];
  const rooms: string[] = [];
  for (let index = 0; index < ROOMS; index++) rooms.push((await app.makeRoom(first, ...people.slice(1))).id);
  await using devices = new AsyncDisposableStack();
  const laptops = [first, second].flatMap((person) => [person, person]).map((person) => {
    const stream = devices.use(new Subscription(app, person, { query: VIEWER_EVENTS }));
    return { person, device: new Device(stream) };
  });
  for (const { device } of laptops) await device.opened;

  await t.step(`seed ${seed}`, async () => {
    await Promise.all(
      people.map((person, index) =>
        new Walker(app, { person, people, rooms, random: seededRandom(seed + index) }).walk(OPERATIONS / PEOPLE)
      ),
    );
    for (const person of people) {
      const { viewer } = await app.run(COUNTS, {}, person);
      assert.deepEqual(summary(viewer), await recount(app, person), person.username);
    }
  });
  await t.step("what is stored counts once for its owner, and nothing that is deleted", async () => {
    await eventually("what is deleted is gone", async () => (await countDeleting(app)) === 0);
    for (const person of people) assert.equal(...await storedBytes(app, person));
  });
  await t.step("two devices of one person agree", async () => {
    for (const { person, device } of laptops) {
      const { viewer: { unreadCount, mentionCount, rooms: { nodes } } } = await app.run(COUNTS, {}, person);
      const unread = new Map<string, number>(nodes.map((room: Any) => [room.id, room.viewerUnreadCount]));
      await inTime("what a device knows to become true", device.until({ unreadCount, mentionCount, unread }));
    }
  });
});

interface Walk {
  readonly person: Person;
  readonly people: readonly Person[];
  readonly rooms: readonly string[];
  readonly random: () => number;
}

/** One person who does something at random, again and again. */
class Walker {
  /** Messages that the walker may have to do with; everybody learns only of a few. */
  readonly #messages: { id: string; roomId: string }[] = [];
  /** Of the walker, sent or not. */
  readonly #files: { id: string; roomId: string }[] = [];
  readonly #marks: Promise<void>[] = [];

  constructor(private readonly app: TestApp, private readonly of: Walk) {}

  async walk(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step();
    await Promise.all(this.#marks);
  }

  async #step(): Promise<void> {
    const { random, people, rooms } = this.of;
    const roomId = pick(rooms, random);
    const message = this.#messages.length > 0 ? pick(this.#messages, random) : null;
    const turn = random();
    if (random() < 0.04) await this.#handleFile(roomId);
    else if (turn < 0.35 || message === null) {
      const content = random() < 0.3
        ? `Hello @${pick(people, random).username}`
        : random() < 0.05
        ? "@everyone!"
        : "Hello";
      const thread = message?.roomId === roomId && random() < 0.2 ? { threadRootId: message.id } : {};
      const payload = await this.#try(
        "sendMessage",
        { roomId, content, ...thread },
        "message { id threadRoot { id } }",
      );
      if (payload.message?.threadRoot === null) this.#messages.push({ id: payload.message.id, roomId });
      if (this.#messages.length > 20) this.#messages.shift();
    } else if (turn < 0.55) await this.#try("addReaction", { messageId: message.id, emoji: pick(EMOJI, random) });
    else if (turn < 0.65) await this.#try("removeReaction", { messageId: message.id, emoji: pick(EMOJI, random) });
    else if (turn < 0.72) {
      await this.#try("editMessage", { messageId: message.id, content: `Now @${pick(people, random).username}` });
    } else if (turn < 0.79) await this.#try("deleteMessage", { messageId: message.id });
    else if (turn < 0.82) await this.#try("pinMessage", { messageId: message.id });
    else if (turn < 0.93) {
      // Not waited for: marks of one member are a second apart.
      this.#marks.push(
        this.#try("markRoomRead", { roomId, ...(random() < 0.5 ? {} : { messageId: message.id }) }).then(() => {}),
      );
    } else if (turn < 0.95) await this.#try("leaveRoom", { roomId });
    else if (turn < 0.99) await this.#try("joinRoom", { roomId });
    else await this.#try("kickMember", { roomId, userId: pick(people, random).id });
  }

  /** Uploads a file, sends some, or deletes one, sent or not. */
  async #handleFile(roomId: string): Promise<void> {
    const { random, person } = this.of;
    const file = this.#files.length > 0 ? pick(this.#files, random) : null;
    const turn = random();
    if (turn < 0.5 || file === null) {
      const { attachments, errors } = await upload(
        this.app,
        person,
        { id: roomId },
        textFile("a.txt", "x".repeat(1 + turn * 50)),
      );
      for (const { code } of errors) assert.ok(EXPECTED.includes(code), `an upload was refused with ${code}`);
      for (const { id } of attachments ?? []) this.#files.push({ id, roomId });
      if (this.#files.length > 20) this.#files.shift();
    } else if (turn < 0.8) {
      const attachmentIds = this.#files.filter((each) => each.roomId === file.roomId).slice(0, 3).map(({ id }) => id);
      const { message } = await this.#try("sendMessage", { roomId: file.roomId, attachmentIds }, "message { id }");
      if (message) this.#messages.push({ id: message.id, roomId: file.roomId });
    } else await this.#try("deleteAttachment", { attachmentId: file.id });
  }

  async #try(name: string, input: object, select = ""): Promise<Any> {
    const payload = await mutate(this.app, name, input, this.of.person, select);
    for (const { code } of payload.errors) assert.ok(EXPECTED.includes(code), `${name} was refused with ${code}`);
    return payload;
  }
}

async function countDeleting({ app: { sql } }: TestApp): Promise<number> {
  return (await sql`select from files where status in ('INCOMING', 'DELETING')`).length;
}

/** Bytes that count for the person, and those of the files. */
async function storedBytes({ app: { sql } }: TestApp, person: Person): Promise<[number, number]> {
  const [row] = await sql<Any[]>`
    select users.stored_bytes, coalesce(sum(files.byte_size), 0)::int as counted
    from users
    left join files on files.owner_id = users.id
    where users.id = ${findId("user", person.id)}
    group by users.id`;
  return [row.storedBytes, row.counted];
}

/** What one person sees, in the form of `recount`. */
function summary(viewer: Any): Any {
  return {
    unreadCount: viewer.unreadCount,
    mentionCount: viewer.mentionCount,
    rooms: Object.fromEntries(viewer.rooms.nodes.map((room: Any) => [room.id, {
      memberCount: room.memberCount,
      unread: room.viewerUnreadCount,
      mentions: room.viewerMentionCount,
      messages: Object.fromEntries(
        room.messages.nodes.map(({ id, replyCount, attachments, reactionGroups }: Any) => [id, {
          replyCount,
          files: attachments.map(({ id }: Any) => id),
          reactions: Object.fromEntries(
            reactionGroups.map(({ emoji, count, viewerHasReacted }: Any) => [emoji, [count, viewerHasReacted]]),
          ),
        }]),
      ),
    }])),
  };
}

/** The same, counted in the plainest way from the plain rows. */
async function recount({ app: { sql } }: TestApp, person: Person): Promise<Any> {
  const { encodeId } = await import("../src/lib/ids.ts");
  const userId = findId("user", person.id);
  const members = await sql<Any[]>`select * from members`;
  const messages = await sql<Any[]>`select * from messages order by seq`;
  const mentions = await sql<Any[]>`select * from mentions`;
  const reactions = await sql<Any[]>`select * from reactions`;
  const attachments = await sql<Any[]>`select * from attachments order by position`;
  const rooms: Any = {};
  for (const own of members.filter((member) => member.userId === userId)) {
    const inRoom = messages.filter(({ roomId }) => roomId === own.roomId);
    const unseen = inRoom.filter(({ seq, authorId, deletedAt }) =>
      seq > own.lastReadSeq && authorId !== userId && deletedAt === null
    );
    const isMentioned = ({ id, mentionsEveryone }: Any) =>
      mentionsEveryone || mentions.some((mention) => mention.messageId === id && mention.userId === userId);
    const timeline = inRoom.filter(({ threadRootId }) => threadRootId === null).slice(-50);
    rooms[encodeId("room", own.roomId)] = {
      memberCount: members.filter(({ roomId }) => roomId === own.roomId).length,
      unread: unseen.filter(({ threadRootId }) => threadRootId === null).length,
      mentions: unseen.filter(isMentioned).length,
      messages: Object.fromEntries(timeline.map(({ id }) => {
        const groups: Any = {};
        for (const { emoji, userId: by } of reactions.filter(({ messageId }) => messageId === id)) {
          const [count = 0, isOwn = false] = groups[emoji] ?? [];
          groups[emoji] = [count + 1, isOwn || by === userId];
        }
        const replyCount = inRoom.filter(({ threadRootId }) => threadRootId === id).length;
        const files = attachments.filter(({ messageId }) => messageId === id).map(({ id }) =>
          encodeId("attachment", id)
        );
        return [encodeId("message", id), { replyCount, files, reactions: groups }];
      })),
    };
  }
  const all: Any[] = Object.values(rooms);
  const total = (key: string) => all.reduce((sum, room) => sum + Math.min(1000, room[key]), 0);
  return { unreadCount: total("unread"), mentionCount: total("mentions"), rooms };
}

interface Counts {
  readonly unreadCount: number;
  readonly mentionCount: number;
  /** By room. */
  readonly unread: ReadonlyMap<string, number>;
}

/** What a device knows of its counts by its stream alone. */
class Device {
  readonly opened: Promise<unknown>;
  readonly #unread = new Map<string, number>();
  #totals: Any = {};

  constructor(private readonly stream: Subscription) {
    this.opened = stream.next();
  }

  async until(counts: Counts): Promise<void> {
    while (!this.#agreesWith(counts)) {
      for (const { room, viewer, removedRoomId } of (await this.stream.next()).events) {
        if (room) this.#unread.set(room.id, room.viewerUnreadCount);
        if (removedRoomId) this.#unread.delete(removedRoomId);
        if (viewer) this.#totals = viewer;
      }
    }
  }

  #agreesWith({ unreadCount, mentionCount, unread }: Counts): boolean {
    return this.#totals.unreadCount === unreadCount && this.#totals.mentionCount === mentionCount &&
      [...this.#unread].every(([roomId, count]) => unread.get(roomId) === count);
  }
}

function pick<T>(from: readonly T[], random: () => number): T {
  const found = from[Math.floor(random() * from.length)];
  if (found === undefined) throw new Error("Nothing to pick from");
  return found;
}
