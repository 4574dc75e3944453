/** Promises of the list of a room's members, and of their number. */
import { strict as assert } from "node:assert";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { done, mutate } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";
import { readLog } from "./support/rooms.ts";
import { seededRandom } from "./support/random.ts";

/** Reads of the list in the test: a reader with its filter. */
function membersOf(app: TestApp, room: TestRoom, as: Person, filter: object = {}) {
  const document = `query ($id: ID!, $search: String, $roles: [RoomRole!], ${PAGE_VARIABLES}) {
    room(id: $id) { members(search: $search, roles: $roles, ${PAGE_ARGS}) { ${PAGE} } }
  }`;
  return async (page: PageVariables = {}) =>
    (await app.run(document, { id: room.id, ...filter, ...page }, as)).room.members;
}

Deno.test("members are listed by role, then by name, in exact pages, and found by prefix of handle or name", async () => {
  await using app = await startApp();
  // Listed in this order: who, role, and the name that is shown.
  const plan = [
    ["zoe", "OWNER", "Zoë"],
    ["mona", "MODERATOR", "anna"],
    ["mike", "MODERATOR", "Bert"],
    ["dora", "MEMBER", "100% sure"],
    ["ann_x", "MEMBER", "Carl"],
    ["annix", "MEMBER", "dave"],
    ["erin", "MEMBER", "Ännchen"],
  ] as const;
  const people = await Promise.all(plan.map(([name]) => app.signUp(name)));
  const [owner] = people as [Person];
  const room = await app.makeRoom(
    ...people.toReversed().toSorted((a, b) => Number(b === owner) - Number(a === owner)) as [Person],
  );
  const ids: string[] = [];
  for (const [index, [, role, displayName]] of plan.entries()) {
    const person = people[index] as Person;
    if (role === "MODERATOR") await done(app, "updateMember", { roomId: room.id, userId: person.id, role }, owner);
    await done(app, "updateProfile", { displayName }, person);
    const { room: { viewerMembership } } = await app.run(
      "query ($id: ID!) { room(id: $id) { viewerMembership { id } } }",
      { id: room.id },
      person,
    );
    ids.push(viewerMembership.id);
  }
  const named = (...names: string[]) => ids.filter((_, index) => names.includes(plan[index]?.[0] ?? ""));
  for (const size of [1, 2, 3, 7, 8]) {
    // How a letter with an accent sorts is up to the database; the last one is left out of the order, not of the list.
    const all = (await membersOf(app, room, owner)()).edges.map(({ node }: Any) => node.id);
    assert.deepEqual(all.filter((id: string) => id !== ids.at(-1)), ids.slice(0, -1));
    await assertPages(membersOf(app, room, owner), all, size);
  }
  const searches: [search: string | null, names: string[]][] = [
    ["ann", ["mona", "ann_x", "annix"]],
    [" @ANN ", ["mona", "ann_x", "annix"]],
    ["ann_", ["ann_x"]],
    ["ZOË", ["zoe"]],
    ["100%", ["dora"]],
    ["%", []],
    ["\\", []],
    ["nn", []],
    ["\0", plan.map(([name]) => name)],
    [null, plan.map(([name]) => name)],
  ];
  for (const [search, names] of searches) {
    const page = await membersOf(app, room, owner, { search })();
    assert.deepEqual(page.edges.map(({ node }: Any) => node.id).toSorted(), named(...names).toSorted(), `${search}`);
  }
  const filtered = (filter: object) => membersOf(app, room, owner, filter);
  await assertPages(filtered({ roles: ["MODERATOR", "OWNER"] }), ids.slice(0, 3), 2);
  await assertPages(filtered({ roles: ["MODERATOR"] }), ids.slice(1, 3), 1);
  await assertPages(filtered({ roles: ["MODERATOR"], search: "ann" }), named("mona"), 1);
  await assertPages(filtered({ search: "nobody" }), [], 1);
});

Deno.test("the number of members is right, and no event is missing, after eight people came and went at once", async () => {
  await using app = await startApp();
  const owner = await app.signUp("owner");
  const people = await Promise.all(Array.from({ length: 8 }, (_, index) => app.signUp(`person${index}`)));
  const room = await app.makeRoom(owner);
  const random = seededRandom(20_261_121);
  const input = { roomId: room.id };
  const move = async (person: Person) => {
    const { errors } = await mutate(app, random() < 0.5 ? "joinRoom" : "leaveRoom", input, person);
    // One who joined and was removed before the answer was written is told so.
    for (const { code } of errors) assert.equal(code, "NOT_A_MEMBER");
  };
  const act = async (person: Person) => {
    // Each person acts from two devices at once.
    for (let step = 0; step < 12; step++) await Promise.all([move(person), move(person)]);
  };
  const kick = async () => {
    for (let step = 0; step < 30; step++) {
      const userId = people[Math.floor(random() * people.length)]?.id;
      const { errors } = await mutate(app, "kickMember", { ...input, userId }, owner);
      for (const { code } of errors) assert.equal(code, "NOT_FOUND");
    }
  };
  await Promise.all([kick(), ...people.map(act)]);
  const isIn = new Map<string, boolean>();
  for (const [kind, userId] of await readLog(app, room)) {
    assert.equal(isIn.get(userId) ?? false, kind === "MEMBER_REMOVED", "comings and goings of one person alternate");
    isIn.set(userId, kind === "MEMBER_JOINED");
  }
  const document = "query ($id: ID!) { room(id: $id) { memberCount members { edges { node { user { id } } } } } }";
  const { room: { memberCount, members } } = await app.run(document, { id: room.id }, owner);
  const present = members.edges.map(({ node }: Any) => node.user.id).toSorted();
  assert.equal(memberCount, present.length);
  assert.deepEqual(present, [...isIn].filter(([, isPresent]) => isPresent).map(([id]) => id).toSorted());
});
