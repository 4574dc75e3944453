/** Everything that people do in a room, act by act: each goes on where the last one ended. */
import { strict as assert } from "node:assert";
import { keepProcessing } from "../../src/uploads/image_jobs.ts";
import type { Any, Person, TestApp, TestRoom } from "./app.ts";
import { eventually } from "./eventually.ts";
import { makePhonePhoto } from "./image_bytes.ts";
import { done } from "./mutations.ts";
import { postFiles, textFile, uploaded } from "./uploads.ts";
import { addMember, say } from "./worlds.ts";

export interface Act {
  readonly kinds: readonly string[];
  readonly act: (scene: Scene) => Promise<unknown>;
}

export interface Scene {
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
export const ACTS: Readonly<Record<string, Act>> = {
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
  "a picture and a text": {
    kinds: ["MessageSentEvent"],
    async act({ app, room, member }) {
      const photo = { name: "photo.jpg", bytes: new Uint8Array(await makePhonePhoto()) };
      const attachmentIds = await uploaded(app, member, room, photo, textFile("notes.txt", "Hello"));
      await say(app, member, { roomId: room.id, content: "", attachmentIds });
    },
  },
  "a picture that was processed": {
    kinds: ["AttachmentProcessedEvent"],
    async act(scene) {
      scene.app.app.once(keepProcessing);
      await eventually("it is ready", async () => (await filesOf(scene)).every(({ status }) => status === "READY"));
    },
  },
  "a file taken off": {
    kinds: ["MessageEditedEvent"],
    act: (scene) => takeOff(scene, "notes.txt"),
  },
  "the last file taken off": {
    kinds: ["MessageDeletedEvent"],
    act: (scene) => takeOff(scene, "photo.jpg"),
  },
  "an icon": {
    kinds: ["RoomUpdatedEvent"],
    async act({ app, room, owner }) {
      const { body } = await postFiles(app, {
        query: "mutation ($input: UpdateRoomInput!) { updateRoom(input: $input) { errors { code } } }",
        variables: { input: { roomId: room.id, icon: null } },
        files: { "variables.input.icon": { name: "icon.jpg", bytes: new Uint8Array(await makePhonePhoto()) } },
      }, owner);
      assert.deepEqual(body.data.updateRoom.errors, []);
    },
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

async function filesOf({ app, room, member }: Scene): Promise<Any[]> {
  const query = `query ($id: ID!) { room(id: $id) { attachments { nodes { id filename status } } } }`;
  return (await app.run(query, { id: room.id }, member)).room.attachments.nodes;
}

async function takeOff(scene: Scene, name: string): Promise<void> {
  const file = (await filesOf(scene)).find(({ filename }) => filename === name);
  await done(scene.app, "deleteAttachment", { attachmentId: file?.id }, scene.member);
}
