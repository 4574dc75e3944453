/** The people, rooms and words of the demo. */
import { setAccountRole } from "../admin/accounts.ts";
import type { App } from "../app.ts";
import { register } from "../auth/accounts.ts";
import { type SignedIn, startSession } from "../auth/sessions.ts";
import { addReaction } from "../messages/reactions.ts";
import { sendMessage } from "../messages/send.ts";
import { openDirectRoom } from "../rooms/direct_rooms.ts";
import { joinRoom } from "../rooms/join.ts";
import { requireMember } from "../rooms/members.ts";
import type { Room } from "../rooms/rooms.ts";
import { createRoom } from "../rooms/create.ts";
import { findUserByUsername } from "../users/users.ts";

export const DEMO_PASSWORD = "parley-demo";
export const DEMO_ROOM_SLUG = "general";

const PEOPLE = [["alice", "Alice Moreau"], ["bob", "Bob Okafor"]] as const;

const ROOMS = [
  {
    draft: { kind: "PUBLIC", name: "General", slug: DEMO_ROOM_SLUG, topic: "Everything and nothing" },
    lines: [
      ["alice", "Good morning! The coffee machine works again."],
      ["bob", "Best news of the week 🎉"],
      ["alice", "Open two windows, send something in one, and watch it arrive in the other."],
    ],
  },
  {
    draft: { kind: "PUBLIC", name: "Release 1.0", slug: "release", topic: "What is left to do" },
    lines: [
      ["bob", "Drop your connection, come back with `after`, and nothing is missing."],
      ["alice", "I tried it with `kill -9`. Still nothing missing."],
    ],
  },
] as const;

/** Makes the demo data, once; a database that has it already stays as it is. */
export async function seedDemo(app: App): Promise<void> {
  if (await findUserByUsername(app, PEOPLE[0][0])) return;
  const people = new Map<string, SignedIn>();
  for (const [username, displayName] of PEOPLE) {
    const input = {
      username,
      displayName,
      email: `${username}@example.com`,
      password: DEMO_PASSWORD,
      clientName: "Demo",
    };
    people.set(username, await register(app, null, input));
  }
  await setAccountRole(app, PEOPLE[0][0], "ADMIN");
  for (const { draft, lines } of ROOMS) await seedRoom(app, people, { draft, lines });
  await seedDirectRoom(app, people);
}

/** Bob writes to Alice alone, and mentions her. */
async function seedDirectRoom(app: App, people: ReadonlyMap<string, SignedIn>): Promise<void> {
  const [alice, bob] = [people.get("alice")?.viewer, people.get("bob")?.viewer];
  if (alice === undefined || bob === undefined) return;
  const room = await openDirectRoom(app, bob, [alice.userId]);
  const content = "Hey @alice, this is between the two of us.";
  const message = await sendMessage(app, await requireMember(app, bob, room.id), { content });
  await addReaction(app, alice, { messageId: message.id, emoji: "👋" });
}

async function seedRoom(
  app: App,
  people: ReadonlyMap<string, SignedIn>,
  { draft, lines }: Pick<typeof ROOMS[number], "draft" | "lines">,
): Promise<void> {
  let room: Room | undefined;
  for (const { viewer } of people.values()) {
    if (room === undefined) room = await createRoom(app, viewer, draft);
    else await joinRoom(app, viewer, room.id);
  }
  for (const [username, content] of lines) {
    const viewer = people.get(username)?.viewer;
    if (room && viewer) await sendMessage(app, await requireMember(app, viewer, room.id), { content });
  }
}

/** A session of a demo person, without a password. */
export async function signInDemo(app: App, username: string): Promise<SignedIn> {
  const user = await findUserByUsername(app, username);
  if (user === null) throw new Error(`There is no demo user ${username}`);
  return await startSession(app, user, { clientName: "GraphiQL", ipAddress: null });
}
