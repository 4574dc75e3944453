/** What a client has after applying the events to its screen is what it would get by asking anew, for every kind of event. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { done } from "./support/mutations.ts";
import { seqOf } from "./support/follow.ts";
import { Subscription } from "./support/subscriptions.ts";
import { addMember, createWorld, say } from "./support/worlds.ts";

const FRAGMENTS = `
fragment M on Message {
  id content editedAt deletedAt pinnedAt pinnedBy { id } author { id } replyTo { id content } threadRoot { id replyCount lastReplyAt }
  replyCount lastReplyAt mentionsEveryone mentionedUsers { id } reactionGroups { emoji count viewerHasReacted }
}
fragment B on RoomMember { id role mutedUntil lastReadAt lastReadMessage { id } joinedAt user { id } }
fragment R on Room { id kind name title slug topic slowModeSeconds memberCount }`;

const SNAPSHOT = `query ($id: ID!) {
  room(id: $id) {
    ...R
    eventCursor
    messages(last: 100) { edges { cursor node { ...M } } }
    pinnedMessages { edges { cursor node { id } } }
    members { edges { node { ...B } } }
  }
} ${FRAGMENTS}`;

const EVENTS = `subscription ($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) {
    cursor
    events {
      __typename
      cursor
      ... on MessageSentEvent { messageEdge { cursor node { ...M } } }
      ... on MessageEditedEvent { message { ...M } }
      ... on MessageDeletedEvent { message { ...M } }
      ... on ReactionAddedEvent { message { ...M } }
      ... on ReactionRemovedEvent { message { ...M } }
      ... on MessagePinnedEvent { message { ...M } messageEdge { cursor node { id } } }
      ... on MessageUnpinnedEvent { message { ...M } }
      ... on MemberJoinedEvent { room { ...R } memberEdge { node { ...B } } }
      ... on MemberRemovedEvent { room { ...R } removedMemberId }
      ... on MemberUpdatedEvent { member { ...B } }
      ... on MemberReadEvent { member { ...B } }
      ... on RoomUpdatedEvent { room { ...R } }
    }
  }
} ${FRAGMENTS}`;

interface Act {
  readonly kinds: readonly string[];
  readonly act: (scene: Scene) => Promise<unknown>;
}

interface Scene {
  readonly app: TestApp;
  readonly room: TestRoom;
  readonly owner: Person;
  readonly moderator: Person;
  readonly member: Person;
  readonly guest: Person;
  /** A message of the member. */
  readonly messageId: string;
}

/** Every mutation that changes a room, and the kinds of events that it makes. */
const ACTS: Readonly<Record<string, Act>> = {
  "a message": { kinds: ["MessageSentEvent"], act: ({ app, room, member }) => say(app, member, { roomId: room.id }) },
  "a quote": {
    kinds: ["MessageSentEvent"],
    act: ({ app, room, owner, messageId }) => say(app, owner, { roomId: room.id, replyToId: messageId }),
  },
  "a mention of one and of all": {
    kinds: ["MessageSentEvent"],
    act: ({ app, room, owner, member }) =>
      say(app, owner, { roomId: room.id, content: `@${member.username} and @everyone, look` }),
  },
  "a reply in a thread": {
    kinds: ["MessageSentEvent"],
    act: ({ app, room, owner, messageId }) => say(app, owner, { roomId: room.id, threadRootId: messageId }),
  },
  "a reaction": {
    kinds: ["ReactionAddedEvent", "ReactionAddedEvent", "ReactionAddedEvent"],
    async act({ app, owner, member, messageId }) {
      await done(app, "addReaction", { messageId, emoji: "👍" }, owner);
      await done(app, "addReaction", { messageId, emoji: "🎉" }, member);
      await done(app, "addReaction", { messageId, emoji: "👍" }, member);
    },
  },
  "a reaction taken back": {
    kinds: ["ReactionRemovedEvent"],
    act: ({ app, owner, messageId }) => done(app, "removeReaction", { messageId, emoji: "👍" }, owner),
  },
  "a pin": {
    kinds: ["MessagePinnedEvent"],
    act: ({ app, moderator, messageId }) => done(app, "pinMessage", { messageId }, moderator),
  },
  "an edit that mentions": {
    kinds: ["MessageEditedEvent"],
    act: ({ app, member, owner, messageId }) =>
      done(app, "editMessage", { messageId, content: `Hello @${owner.username}` }, member),
  },
  "a read mark": {
    kinds: ["MemberReadEvent"],
    act: ({ app, room, member }) => done(app, "markRoomRead", { roomId: room.id }, member),
  },
  "an unpin": {
    kinds: ["MessageUnpinnedEvent"],
    act: ({ app, moderator, messageId }) => done(app, "unpinMessage", { messageId }, moderator),
  },
  "a pin on what is deleted next": {
    kinds: ["MessagePinnedEvent"],
    act: ({ app, moderator, messageId }) => done(app, "pinMessage", { messageId }, moderator),
  },
  "a deletion": {
    kinds: ["MessageDeletedEvent"],
    act: ({ app, member, messageId }) => done(app, "deleteMessage", { messageId }, member),
  },
  "a member more": {
    kinds: ["MemberJoinedEvent"],
    act: ({ app, room, owner, guest }) => addMember(app, room, { by: owner, person: guest }),
  },
  "another role": {
    kinds: ["MemberUpdatedEvent"],
    act: ({ app, room, owner, guest }) =>
      done(app, "updateMember", { roomId: room.id, userId: guest.id, role: "MODERATOR" }, owner),
  },
  "a mute": {
    kinds: ["MemberUpdatedEvent"],
    act: ({ app, room, owner, guest }) =>
      done(app, "updateMember", { roomId: room.id, userId: guest.id, mutedUntil: "2099-01-01T00:00:00.000Z" }, owner),
  },
  "other settings": {
    kinds: ["RoomUpdatedEvent"],
    act: ({ app, room, moderator }) =>
      done(app, "updateRoom", { roomId: room.id, name: "Renamed", topic: "New", slowModeSeconds: 0 }, moderator),
  },
  "a member less": {
    kinds: ["MemberRemovedEvent"],
    act: ({ app, room, guest }) => done(app, "leaveRoom", { roomId: room.id }, guest),
  },
  "a ban that deletes messages": {
    kinds: ["MemberJoinedEvent", "MessageSentEvent", "MemberRemovedEvent", "MessageDeletedEvent"],
    async act({ app, room, owner, guest }) {
      await addMember(app, room, { by: owner, person: guest });
      await say(app, guest, { roomId: room.id, content: "spam" });
      await done(app, "banMember", { roomId: room.id, userId: guest.id, deleteMessagesHours: 1 }, owner);
    },
  },
};

Deno.test("after every act in a room, screens that applied its events show what a fresh screen shows", async (t) => {
  await using app = await startApp();
  const { people: { owner, moderator, member, stranger }, room } = await createWorld(app);
  const messageId = await say(app, member, { roomId: room.id, content: "the one that things happen to" });
  const scene: Scene = { app, room, owner, moderator, member, guest: stranger, messageId };
  await using ownerScreen = await Screen.open(app, owner, room);
  await using memberScreen = await Screen.open(app, member, room);
  const seen = new Set<string>();
  for (const [name, { kinds, act }] of Object.entries(ACTS)) {
    await t.step(name, async () => {
      await act(scene);
      for (const screen of [ownerScreen, memberScreen]) {
        const { fresh, applied } = await screen.catchUp();
        assert.deepEqual(applied.map(({ __typename }) => __typename), kinds);
        assert.deepEqual(screen.state, fresh);
      }
      for (const kind of kinds) seen.add(kind);
    });
  }
  const known = [...EVENTS.matchAll(/\.\.\. on (\w+Event)/g)].map(([, kind]) => kind);
  assert.deepEqual(known.filter((kind) => kind && !seen.has(kind)), [], "kinds that no act has made");
});

/** A screen that asks once and then only listens. */
class Screen implements AsyncDisposable {
  private constructor(
    private readonly app: TestApp,
    private readonly as: Person,
    private readonly stream: Subscription,
    public state: Any,
    private cursor: string,
  ) {}

  static async open(app: TestApp, as: Person, room: TestRoom): Promise<Screen> {
    const { state, cursor } = await ask(app, as, room.id);
    const stream = new Subscription(app, as, { query: EVENTS, variables: { roomId: room.id, after: cursor } });
    return new Screen(app, as, stream, state, cursor);
  }

  /** Applies everything up to now; what was applied, and what a fresh screen shows. */
  async catchUp(): Promise<{ fresh: Any; applied: Any[] }> {
    const { state: fresh, cursor } = await ask(this.app, this.as, this.state.id);
    const applied: Any[] = [];
    while (seqOf({ cursor: this.cursor }) < seqOf({ cursor })) {
      const batch = await this.stream.next();
      for (const event of batch.events) apply(this.state, event);
      applied.push(...batch.events);
      this.cursor = batch.cursor;
    }
    return { fresh, applied };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stream[Symbol.asyncDispose]();
  }
}

async function ask(app: TestApp, as: Person, id: string): Promise<{ state: Any; cursor: string }> {
  const { room: { eventCursor: cursor, ...state } } = await app.run(SNAPSHOT, { id }, as);
  state.members.edges.sort(byId);
  return { state, cursor };
}

/** As a client does it: an object with an id replaces what is known of it, wherever that is; edges come and go. */
function apply(state: Any, event: Any): void {
  const { message, messageEdge, member, memberEdge, room, removedMemberId } = event;
  for (const entity of [message, messageEdge?.node, messageEdge?.node.threadRoot, message?.threadRoot, member, room]) {
    if (entity) merge(state, entity);
  }
  switch (event.__typename) {
    case "MessageSentEvent":
      if (messageEdge.node.threadRoot === null) state.messages.edges.push(messageEdge);
      break;
    case "MessagePinnedEvent":
      state.pinnedMessages.edges.unshift(messageEdge);
      break;
    case "MessageUnpinnedEvent":
    case "MessageDeletedEvent":
      state.pinnedMessages.edges = state.pinnedMessages.edges.filter(({ node }: Any) => node.id !== message.id);
      break;
    case "MemberJoinedEvent":
      state.members.edges.push(memberEdge);
      state.members.edges.sort(byId);
      break;
    case "MemberRemovedEvent":
      state.members.edges = state.members.edges.filter(({ node }: Any) => node.id !== removedMemberId);
      break;
  }
}

function merge(known: Any, entity: Any): void {
  if (typeof known !== "object" || known === null) return;
  if (known.id === entity.id) {
    // Only what the place has asked for: a quoted message shows less of itself.
    for (const key of Object.keys(known)) if (key in entity) known[key] = structuredClone(entity[key]);
  }
  for (const value of Object.values(known)) merge(value, entity);
}

function byId({ node: one }: Any, { node: other }: Any): number {
  return one.id < other.id ? -1 : 1;
}
