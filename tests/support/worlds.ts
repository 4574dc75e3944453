/** A small world with one of every kind of people, seen from one private room. */
import { makeAdmin } from "./admins.ts";
import type { Any, Person, TestApp, TestRoom } from "./app.ts";
import { done } from "./mutations.ts";

/** Everybody that a rule can tell apart. An admin is in no room; a removed member was in it. */
export const KINDS = ["nobody", "stranger", "member", "removed", "moderator", "owner", "admin"] as const;
export type Kind = typeof KINDS[number];

export interface World {
  readonly app: TestApp;
  readonly people: Readonly<Record<Exclude<Kind, "nobody">, Person>>;
  readonly room: TestRoom;
}

export async function createWorld(app: TestApp): Promise<World> {
  const [stranger, member, removed, moderator, owner, admin] = await Promise.all(
    ["stranger", "member", "removed", "moderator", "owner", "admin"].map((name) => app.signUp(name)),
  ) as [Person, Person, Person, Person, Person, Person];
  await makeAdmin(app, admin);
  const people = { stranger, member, removed, moderator, owner, admin };
  return { app, people, room: await makePrivateRoom(app, people) };
}

/** A private room in which these people have the roles that their names say. */
export async function makePrivateRoom(app: TestApp, people: World["people"]): Promise<TestRoom> {
  const { owner, moderator, member, removed } = people;
  const { room } = await done(app, "createRoom", { kind: "PRIVATE", name: "Private" }, owner, "room { id slug }");
  const made = { ...room, cursor: "" };
  for (const person of [moderator, member, removed]) await addMember(app, made, { by: owner, person });
  await done(app, "updateMember", { roomId: room.id, userId: moderator.id, role: "MODERATOR" }, owner);
  await done(app, "kickMember", { roomId: room.id, userId: removed.id }, owner);
  const { room: { eventCursor: cursor } } = await app.run("query ($id: ID!) { room(id: $id) { eventCursor } }", {
    id: room.id,
  }, owner);
  return { ...made, cursor };
}

/** Brings the person into the room by an invite. */
export async function addMember(
  app: TestApp,
  room: Pick<TestRoom, "id">,
  { by, person }: { readonly by: Person; readonly person: Person },
): Promise<void> {
  const inviteId = await invite(app, room, { by, person });
  await done(app, "acceptInvite", { inviteId }, person);
}

/** Invites the person and returns the id of the invite. */
export async function invite(
  app: TestApp,
  room: Pick<TestRoom, "id">,
  { by, person }: { readonly by: Person; readonly person: Person },
): Promise<string> {
  const { invites } = await done(app, "inviteToRoom", { roomId: room.id, userIds: [person.id] }, by, "invites { id }");
  return invites[0].id;
}

/** Sends a message and returns its id. */
export async function say(app: TestApp, as: Person, input: object): Promise<string> {
  const { message }: Any = await done(app, "sendMessage", { content: "Hello", ...input }, as, "message { id }");
  return message.id;
}
