/** Promises of roles and mutes: who may act on whom, however many act at once. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { holdRows, logSince } from "./support/rooms.ts";

const MEMBER = "member { role mutedUntil user { id } }";
const LATER = "2999-01-01T00:00:00.000Z";

Deno.test("people change only those whom they outrank, and only owners change roles", async () => {
  await using app = await startApp();
  const names = ["owner", "other_owner", "moderator", "other_moderator", "member", "stranger"] as const;
  const people = await Promise.all(names.map((name) => app.signUp(name)));
  const person = (name: typeof names[number]) => people[names.indexOf(name)] as Person;
  const room = await app.makeRoom(...people.slice(0, -1) as [Person]);
  const input = (target: typeof names[number], change: object) => ({
    roomId: room.id,
    userId: person(target).id,
    ...change,
  });
  const change = (actor: typeof names[number], target: typeof names[number], what: object) =>
    done(app, "updateMember", input(target, what), person(actor), MEMBER);
  for (const target of ["moderator", "other_moderator"] as const) {
    const { member } = await change("owner", target, { role: "MODERATOR" });
    assert.deepEqual(member, { role: "MODERATOR", mutedUntil: null, user: { id: person(target).id } });
  }
  await change("owner", "other_owner", { role: "OWNER" });
  const before = await logSince(app, room);
  const [role, mute] = [{ role: "MODERATOR" }, { mutedUntil: LATER }];
  const refused: [actor: typeof names[number], target: typeof names[number], what: object, answer: string[]][] = [
    ["moderator", "member", role, ["FORBIDDEN", "userId"]],
    ["moderator", "moderator", { role: "OWNER" }, ["FORBIDDEN", "userId"]],
    ["moderator", "other_moderator", mute, ["FORBIDDEN", "userId"]],
    ["moderator", "owner", mute, ["FORBIDDEN", "userId"]],
    ["moderator", "moderator", mute, ["FORBIDDEN", "userId"]],
    ["member", "member", mute, ["FORBIDDEN", "userId"]],
    ["member", "member", role, ["FORBIDDEN", "userId"]],
    ["owner", "other_owner", { role: "MEMBER" }, ["FORBIDDEN", "userId"]],
    ["owner", "other_owner", mute, ["FORBIDDEN", "userId"]],
    ["owner", "owner", mute, ["FORBIDDEN", "userId"]],
    ["owner", "stranger", role, ["NOT_FOUND", "userId"]],
    ["moderator", "stranger", mute, ["NOT_FOUND", "userId"]],
    ["stranger", "member", role, ["NOT_A_MEMBER", "roomId"]],
    ["owner", "member", { mutedUntil: "9999-12-31T23:59:59-12:00" }, ["INVALID_INPUT", "mutedUntil"]],
  ];
  for (const [actor, target, what, answer] of refused) {
    const told = `${actor} changes ${target} to ${JSON.stringify(what)}`;
    assert.deepEqual(await refusal(app, "updateMember", input(target, what), person(actor)), answer, told);
  }
  const nobody = { roomId: room.id, userId: "garbage", role: "MEMBER" };
  assert.deepEqual(await refusal(app, "updateMember", nobody, person("owner")), ["NOT_FOUND", "userId"]);
  await change("owner", "moderator", {});
  await change("owner", "moderator", { role: "MODERATOR", mutedUntil: null });
  assert.deepEqual(await logSince(app, room), before, "what was refused or changes nothing is no event");

  await using follower = new RoomFollower(app, person("member"), room);
  await follower.next();
  assert.equal((await change("moderator", "member", mute)).member.mutedUntil, LATER);
  assert.deepEqual(await permissionsOf(app, room, person("member")), ["READ"]);
  assert.equal((await change("owner", "member", role)).member.mutedUntil, LATER, "what is left out stays");
  assert.equal((await change("owner", "member", { mutedUntil: "2001-01-01T00:00:00Z" })).member.mutedUntil, null);
  assert.ok((await permissionsOf(app, room, person("member"))).includes("KICK_MEMBERS"));
  const kinds = (await follower.take(3)).map(({ __typename }) => __typename);
  assert.deepEqual(kinds, Array(3).fill("MemberUpdatedEvent"));
  const logged = await app.app.sql<Any[]>`
    select data ->> 'role' as role, (data ->> 'mutedUntil')::timestamptz as muted_until
    from room_events
    where kind = 'MEMBER_UPDATED'
    order by seq desc
    limit 3`;
  assert.deepEqual(logged.map(({ role, mutedUntil }) => [role, mutedUntil?.toISOString()]), [
    ["MODERATOR", undefined],
    ["MODERATOR", LATER],
    ["MEMBER", LATER],
  ]);
  await change("other_owner", "other_owner", { role: "MEMBER" });
  assert.deepEqual(await permissionsOf(app, room, person("other_owner")), ["READ", "SEND_MESSAGES", "ATTACH_FILES"]);
  await change("owner", "member", { role: "OWNER" });
  assert.deepEqual((await change("member", "member", { role: "MODERATOR" })).member.role, "MODERATOR");
  assert.deepEqual(await refusal(app, "updateMember", input("owner", role), person("owner")), ["LAST_OWNER", "role"]);
});

Deno.test("of two owners who step down at once one stays; of a promotion and a kick at once only one happens", async () => {
  await using app = await startApp();
  const people = await Promise.all(["owner", "other_owner", "moderator", "member"].map((name) => app.signUp(name)));
  const [owner, other, moderator, member] = people as [Person, Person, Person, Person];
  const room = await app.makeRoom(owner, other, moderator, member);
  const change = (by: Person, { id: userId }: Person, role: string) =>
    mutate(app, "updateMember", { roomId: room.id, userId, role }, by);
  await change(owner, moderator, "MODERATOR");
  for (let round = 0; round < 6; round++) {
    await change(owner, other, "OWNER");
    await change(other, owner, "OWNER"); // one of the two is refused: it depends on who has stayed
    const held = holdRows(app, "rooms", room);
    const answers = await Promise.all([owner, other].map((person) => change(person, person, "MEMBER")));
    await held;
    assert.deepEqual(answers.map(codeOf).sort(), ["LAST_OWNER", "done"]);
  }
  const { room: { members: { nodes } } } = await app.run(
    "query ($id: ID!) { room(id: $id) { members(roles: [OWNER]) { nodes { user { id } } } } }",
    { id: room.id },
    member,
  );
  const last = nodes[0].user.id === owner.id ? owner : other;
  for (let round = 0; round < 8; round++) {
    const kick = () => mutate(app, "kickMember", { roomId: room.id, userId: member.id }, moderator);
    const promote = () => change(last, member, "MODERATOR");
    const held = holdRows(app, "members", room);
    const [one, two] = await Promise.all(round % 2 ? [kick(), promote()] : [promote(), kick()]);
    await held;
    const [kicked, promoted] = round % 2 ? [one, two] : [two, one];
    const outcome = [codeOf(kicked), codeOf(promoted)];
    assert.ok(["done,NOT_FOUND", "FORBIDDEN,done"].includes(outcome.join()), outcome.join());
    await change(last, member, "MEMBER");
    await done(app, "joinRoom", { roomId: room.id }, member);
  }
  await logSince(app, room);
});

function codeOf({ errors: [error] }: Any): string {
  return error?.code ?? "done";
}

async function permissionsOf(app: TestApp, { id }: TestRoom, as: Person): Promise<string[]> {
  return (await app.run("query ($id: ID!) { room(id: $id) { viewerPermissions } }", { id }, as)).room.viewerPermissions;
}
