/** Promises of the two lists of rooms: those that anyone may join, and one's own. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { findId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done } from "./support/mutations.ts";
import { assertPages, idsOf, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";

Deno.test("public rooms come in every order, in pages that are exact in both directions", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  // In each order some are equal, so that pages end between equals.
  const plan = [["delta", 3, 1], ["Alpha", 1, 1], ["charlie", 3, 2], ["alpha", 2, 2], ["Bravo", 9, 3], ["echo", 2, 3]];
  const rooms: ListedRoom[] = [];
  for (const [name, size, day] of plan as [string, number, number][]) {
    const { id } = await createRoom(app, alice, { name });
    rooms.push({ id, name: name.toLowerCase(), size, day });
    await app.app.sql`
      update rooms
      set member_count = ${size},
        created_at = timestamptz '2026-01-01' + make_interval(days => ${day}),
        last_activity_at = timestamptz '2026-03-01' - make_interval(days => ${day})
      where id = ${findId("room", id)}`;
  }
  await createRoom(app, alice, { name: "between", kind: "PRIVATE" });
  const idsBy = (order: (a: ListedRoom, b: ListedRoom) => number) => rooms.toSorted(order).map(({ id }) => id);
  const orders: Readonly<Record<string, string[]>> = {
    MEMBER_COUNT: idsBy((a, b) => b.size - a.size || compare(b.id, a.id)),
    LAST_ACTIVITY: idsBy((a, b) => a.day - b.day || compare(b.id, a.id)),
    CREATED_AT: idsBy((a, b) => b.day - a.day || compare(b.id, a.id)),
    NAME: idsBy((a, b) => compare(a.name, b.name) || compare(a.id, b.id)),
  };
  const document = `query ($orderBy: RoomOrder!, ${PAGE_VARIABLES}) {
    publicRooms(orderBy: $orderBy, ${PAGE_ARGS}) { ${PAGE} }
  }`;
  const reader = (orderBy: string) => async (page: PageVariables) =>
    (await app.run(document, { orderBy, ...page })).publicRooms;
  for (const [orderBy, expected] of Object.entries(orders)) {
    for (const size of [1, 2, 3, 6, 7]) await assertPages(reader(orderBy), expected, size);
  }
  const { publicRooms } = await app.run(`{ publicRooms { ${PAGE} } }`);
  assert.deepEqual(idsOf(publicRooms), orders.LAST_ACTIVITY, "latest activity first, unless asked otherwise");
});

Deno.test("a search finds rooms with all its words in name, slug or topic, and takes every character literally", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await createRoom(app, alice, { name: "Deno Guild", topic: "Talk of Runtimes" });
  await createRoom(app, alice, { name: "100% Coffee", slug: "caffeine" });
  await createRoom(app, alice, { name: "snake_case \\ club" });
  await createRoom(app, alice, { name: "Snakes and cases" });
  const found = async (search: string | null) => {
    const document =
      "query ($search: String) { publicRooms(search: $search, orderBy: NAME) { edges { node { name } } } }";
    return (await app.run(document, { search })).publicRooms.edges.map(({ node }: Any) => node.name);
  };
  assert.deepEqual(await found("guild deno"), ["Deno Guild"]);
  assert.deepEqual(await found("  RUNTIMES  gui "), ["Deno Guild"]);
  assert.deepEqual(await found("caffeine"), ["100% Coffee"]);
  assert.deepEqual(await found("deno coffee"), []);
  assert.deepEqual(await found("%"), ["100% Coffee"]);
  assert.deepEqual(await found("e_c"), ["snake_case \\ club"]);
  assert.deepEqual(await found("\\"), ["snake_case \\ club"]);
  assert.deepEqual(await found("snake cas"), ["snake_case \\ club", "Snakes and cases"]);
  assert.deepEqual(await found("'; drop table rooms"), []);
  assert.deepEqual(await found("no\0where"), []);
  for (const everything of [null, "", "   "]) assert.equal((await found(everything)).length, 4);
});

Deno.test("one's own rooms come latest activity first, by kind, in exact pages", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const ids: string[] = [];
  for (const kind of ["PUBLIC", "PRIVATE", "PUBLIC", "PRIVATE", "PUBLIC"]) {
    ids.push((await createRoom(app, alice, { name: "Room", kind })).id);
  }
  await createRoom(app, bob, { name: "Not hers" });
  const joined = await createRoom(app, bob, { name: "Joined" });
  await done(app, "joinRoom", { roomId: joined.id }, alice);
  await app.app.sql`update rooms set last_activity_at = timestamptz '2026-01-01'`;
  const [first = "", , , last = ""] = ids;
  await app.send(alice, { id: last, slug: "", cursor: "" }, "older");
  await app.app.sql`update rooms set last_activity_at = timestamptz '2026-02-01' where last_activity_at > '2026-01-01'`;
  await app.send(alice, { id: first, slug: "", cursor: "" }, "newest");
  const others = [...ids, joined.id].filter((id) => id !== first && id !== last);
  const expected = [first, last, ...others.toSorted((a, b) => compare(b, a))];
  const document = `query ($kinds: [RoomKind!], ${PAGE_VARIABLES}) {
    viewer { rooms(kinds: $kinds, ${PAGE_ARGS}) { ${PAGE} } }
  }`;
  const reader = (kinds?: string[]) => async (page: PageVariables) =>
    (await app.run(document, { kinds, ...page }, alice)).viewer.rooms;
  for (const size of [1, 2, 5, 6]) await assertPages(reader(), expected, size);
  await assertPages(reader(["PRIVATE", "PUBLIC"]), expected, 4);
  await assertPages(reader(["PRIVATE"]), expected.filter((id) => id === ids[1] || id === ids[3]), 1);
  await done(app, "leaveRoom", { roomId: joined.id }, alice);
  await assertPages(reader(), expected.filter((id) => id !== joined.id), 3);
});

Deno.test("the edge of a room that was just made or joined is that of the list", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const edge = "roomEdge { cursor node { id } }";
  const made = await done(app, "createRoom", { name: "Made" }, alice, edge);
  const joined = await done(app, "joinRoom", { roomId: made.roomEdge.node.id }, bob, edge);
  for (const [person, { roomEdge }] of [[alice, made], [bob, joined]] as const) {
    const { viewer } = await app.run("{ viewer { rooms { edges { cursor node { id } } } } }", {}, person);
    assert.deepEqual(viewer.rooms.edges, [roomEdge]);
  }
});

Deno.test("a cursor that this list never gave out is refused, however it is made up", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await createRoom(app, alice, { name: "Room" });
  const { viewer } = await app.run("{ viewer { rooms { pageInfo { endCursor } } } }", {}, alice);
  const forge = (...values: unknown[]) => Buffer.from(JSON.stringify(values)).toString("base64url");
  const [activity, count] = ["publicRooms.lastActivity", "publicRooms.memberCount"];
  const forged: [orderBy: string, after: string][] = [
    ["LAST_ACTIVITY", ""],
    ["LAST_ACTIVITY", "garbage"],
    ["LAST_ACTIVITY", viewer.rooms.pageInfo.endCursor],
    ["LAST_ACTIVITY", forge(count, 1, newId())],
    ["LAST_ACTIVITY", forge(activity, "yesterday", newId())],
    ["LAST_ACTIVITY", forge(activity, "+275760-09-13T00:00:00.000Z", newId())],
    ["LAST_ACTIVITY", forge(activity, new Date().toISOString(), "garbage")],
    ["LAST_ACTIVITY", forge(activity, new Date().toISOString())],
    ["MEMBER_COUNT", forge(count, "1", newId())],
    ["MEMBER_COUNT", forge(count, 1.5, newId())],
    ["MEMBER_COUNT", forge(count, 2 ** 40, newId())],
    ["NAME", forge("publicRooms.name", "a\0b", newId())],
  ];
  const query =
    "query ($orderBy: RoomOrder!, $after: String) { publicRooms(orderBy: $orderBy, after: $after) { nodes { id } } }";
  for (const [orderBy, after] of forged) {
    const { body } = await app.post({ query, variables: { orderBy, after } }, alice);
    const told = Buffer.from(after, "base64url").toString();
    assert.equal(body.errors?.[0].extensions.code, "BAD_USER_INPUT", `${orderBy} ${told}`);
    assert.deepEqual(body.data, { publicRooms: null });
  }
});

async function createRoom(app: TestApp, owner: Person, input: object): Promise<{ id: string; slug: string }> {
  return (await done(app, "createRoom", input, owner, "room { id slug }")).room;
}

interface ListedRoom {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly day: number;
}

// Ids of rooms sort like the UUIDs that they stand for.
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
