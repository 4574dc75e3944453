/** A room with a past: enough of everything for every screen of a chat client to have something to show. */
import { encodeId } from "../../src/lib/ids.ts";
import { makeAdmin } from "./admins.ts";
import type { Any, Person, TestApp, TestRoom } from "./app.ts";
import { done } from "./mutations.ts";
import { attachFile, attachImage, giveIcon, givePicture } from "./stored_files.ts";
import { invite, say } from "./worlds.ts";

export interface SeededChat {
  readonly alice: Person;
  readonly bob: Person;
  readonly carol: Person;
  readonly room: TestRoom;
  /** Somewhere in the middle of the room's history. */
  readonly messageId: string;
  /** Starts a thread. */
  readonly rootId: string;
}

/** `messages` in the main timeline of one room, by three people, in which every kind of thing has happened. */
export async function seedChat(app: TestApp, { messages }: { readonly messages: number }): Promise<SeededChat> {
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const people: readonly Person[] = [alice, bob, carol];
  await makeAdmin(app, carol);
  const room = await app.makeRoom(alice, bob, carol);
  for (const person of people) await givePicture(app, person);
  await giveIcon(app, alice, room);
  const ids: string[] = [];
  for (let index = 0; index < messages; index++) {
    const quoted = index % 3 === 2 ? { replyToId: ids.at(-2) } : {};
    const content = index % 7 === 6 ? `Message ${index} for @${alice.username}` : `Message ${index}`;
    const author = people[index % 3] ?? alice;
    const attachmentIds = await attachSome(app, author, { room, index });
    ids.push(await say(app, author, { roomId: room.id, content, attachmentIds, ...quoted }));
  }
  const [rootId = "", messageId = "", deletedId = ""] = [ids[1], ids[Math.floor(messages / 2)], ids.at(-1)];
  for (const person of people) {
    const attachmentIds = await attachSome(app, person, { room, index: 1 });
    await say(app, person, { roomId: room.id, threadRootId: rootId, attachmentIds });
    for (const id of ids.slice(0, 5)) await done(app, "addReaction", { messageId: id, emoji: "👍" }, person);
  }
  await done(app, "pinMessage", { messageId }, alice);
  await done(app, "deleteMessage", { messageId: deletedId }, alice);
  await done(app, "markRoomRead", { roomId: room.id, messageId }, bob);
  await done(app, "openDirectRoom", { userIds: [alice.id] }, bob);
  for (let index = 0; index < 3; index++) {
    const { room: other }: Any = await done(
      app,
      "createRoom",
      { kind: "PRIVATE", name: `Club ${index}` },
      bob,
      "room { id }",
    );
    await invite(app, other, { by: bob, person: alice });
    const joined = await app.makeRoom(bob, alice);
    await say(app, bob, { roomId: joined.id, content: `Hello in room ${index}` });
  }
  await done(app, "blockUser", { userId: (await app.signUp("mallory")).id }, alice);
  const news = { audience: { everyone: true }, title: "News", content: "All is well" };
  await done(app, "publishAnnouncement", news, carol);
  return { alice, bob, carol, room, messageId, rootId };
}

/** One picture for every fifth message; for another one two and a text. */
async function attachSome(
  app: TestApp,
  author: Person,
  { room, index }: { readonly room: TestRoom; readonly index: number },
): Promise<string[]> {
  const turn = index % 5;
  const files = turn === 1 || turn === 3 ? [await attachImage(app, author, { room })] : [];
  if (turn === 3) files.push(await attachImage(app, author, { room }), await attachFile(app, author, { room }));
  return files.map(({ id }) => encodeId("attachment", id));
}
