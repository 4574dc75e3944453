/** What a client has after applying the events to its screen is what it would get by asking anew, for every kind of event. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { seqOf } from "./support/follow.ts";
import { ACTS, type Scene } from "./support/room_acts.ts";
import { givePicture } from "./support/stored_files.ts";
import { Subscription } from "./support/subscriptions.ts";
import { createWorld, say } from "./support/worlds.ts";

const FRAGMENTS = `
fragment M on Message {
  id content editedAt deletedAt pinnedAt pinnedBy { id } author { id avatar { url width height thumbhash } } replyTo { id content } threadRoot { id replyCount lastReplyAt }
  replyCount lastReplyAt mentionsEveryone mentionedUsers { id } reactionGroups { emoji count viewerHasReacted }
  attachments { ...A }
}
fragment A on Attachment { id filename byteSize status url image { url(size: MEDIUM) width height thumbhash } message { id } }
fragment B on RoomMember { id role mutedUntil lastReadAt lastReadMessage { id } joinedAt user { id } }
fragment R on Room { id kind name title slug topic slowModeSeconds memberCount icon { url width thumbhash } }`;

const SNAPSHOT = `query ($id: ID!) {
  room(id: $id) {
    ...R
    eventCursor
    messages(last: 50) { edges { cursor node { ...M } } }
    pinnedMessages { edges { cursor node { id } } }
    members { edges { node { ...B } } }
    attachments { edges { node { ...A } } }
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
      ... on AttachmentProcessedEvent { attachment { ...A } }
      ... on MemberJoinedEvent { room { ...R } memberEdge { node { ...B } } }
      ... on MemberRemovedEvent { room { ...R } removedMemberId }
      ... on MemberUpdatedEvent { member { ...B } }
      ... on MemberReadEvent { member { ...B } }
      ... on RoomUpdatedEvent { room { ...R } }
    }
  }
} ${FRAGMENTS}`;

Deno.test("after every act in a room, screens that applied its events show what a fresh screen shows", async (t) => {
  await using app = await startApp();
  const { people: { owner, moderator, member, stranger }, room } = await createWorld(app);
  const messageId = await say(app, member, { roomId: room.id, content: "the one that things happen to" });
  await givePicture(app, member);
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
        assert.deepEqual(unsigned(screen.state), unsigned(fresh));
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
  const { message, messageEdge, member, memberEdge, room, removedMemberId, attachment } = event;
  const sent = messageEdge?.node;
  for (const entity of [message, sent, sent?.threadRoot, message?.threadRoot, member, room, attachment]) {
    if (entity) merge(state, entity);
  }
  switch (event.__typename) {
    case "MessageSentEvent":
      if (sent.threadRoot === null) state.messages.edges.push(messageEdge);
      state.attachments.edges.unshift(...sent.attachments.toReversed().map((node: Any) => ({ node })));
      break;
    case "MessageEditedEvent":
      dropFiles(state, message);
      break;
    case "MessagePinnedEvent":
      state.pinnedMessages.edges.unshift(messageEdge);
      break;
    case "MessageUnpinnedEvent":
    case "MessageDeletedEvent":
      dropFiles(state, message);
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

/** What is on the message no more is not in the list of the room's files either. */
function dropFiles(state: Any, { id, attachments }: Any): void {
  state.attachments.edges = state.attachments.edges.filter(({ node }: Any) =>
    node.message.id !== id || attachments.some((kept: Any) => kept.id === node.id)
  );
}

/** With links as they are before they are signed: the minute and the viewer are in the rest. */
function unsigned(state: Any): Any {
  return JSON.parse(JSON.stringify(state, (key, value) => key === "url" ? value.split("?")[0] : value));
}

function byId({ node: one }: Any, { node: other }: Any): number {
  return one.id < other.id ? -1 : 1;
}
