/** Promises of making rooms, and of what one who is not in sees of them. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./support/app.ts";
import { done, refusal } from "./support/mutations.ts";

Deno.test("a room has what its maker said, and the maker is its owner and only member", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const select = `room {
    kind name title slug topic memberCount creator { id } lastMessage { id }
    viewerMembership { role user { id } } members { edges { node { role user { id } } } }
  }`;
  const input = { kind: "PRIVATE", name: " The Café 🦊 ", topic: " Coffee, mostly ", slug: "Coffee-2" };
  const { room } = await done(app, "createRoom", input, alice, select);
  const owner = { role: "OWNER", user: { id: alice.id } };
  assert.deepEqual(room, {
    kind: "PRIVATE",
    name: "The Café 🦊",
    title: "The Café 🦊",
    slug: "coffee-2",
    topic: "Coffee, mostly",
    memberCount: 1,
    creator: { id: alice.id },
    lastMessage: null,
    viewerMembership: owner,
    members: { edges: [{ node: owner }] },
  });
  const plain = await done(app, "createRoom", { name: "Plain", topic: "  " }, alice, "room { kind slug topic }");
  assert.deepEqual(plain.room, { kind: "PUBLIC", slug: "plain", topic: null });
});

Deno.test("a room that cannot be made says which field is wrong and why, and is not made", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const refused: [change: object, answer: (string | number)[]][] = [
    [{ name: "" }, ["EMPTY", "name"]],
    [{ name: " \n\t\u3000" }, ["EMPTY", "name"]],
    [{ name: "🦊".repeat(81) }, ["TOO_LONG", "name", 80]],
    [{ name: "NUL\0in it" }, ["INVALID_INPUT", "name"]],
    [{ name: "half \ud83e" }, ["INVALID_INPUT", "name"]],
    [{ topic: "t".repeat(501) }, ["TOO_LONG", "topic", 500]],
    [{ topic: "a\0b" }, ["INVALID_INPUT", "topic"]],
    [{ slug: "s".repeat(61) }, ["TOO_LONG", "slug", 60]],
    [{ slug: "two words" }, ["INVALID_INPUT", "slug"]],
    [{ slug: "-edge" }, ["INVALID_INPUT", "slug"]],
    [{ slug: "edge-" }, ["INVALID_INPUT", "slug"]],
    [{ slug: "a--b" }, ["INVALID_INPUT", "slug"]],
    [{ slug: "café" }, ["INVALID_INPUT", "slug"]],
    [{ slug: "a/b" }, ["INVALID_INPUT", "slug"]],
  ];
  for (const [change, answer] of refused) {
    assert.deepEqual(
      await refusal(app, "createRoom", { name: "Good", ...change }, alice),
      answer,
      JSON.stringify(change),
    );
  }
  const [{ rooms }] = await app.app.sql<Any>`select count(*) as rooms from rooms`;
  assert.equal(rooms, 0);
  await done(app, "createRoom", { name: "🦊".repeat(80), topic: "🐢".repeat(500), slug: "s".repeat(60) }, alice);
});

Deno.test("a slug is made from the name, with accents dropped, and is always a good slug", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const slugOf = async (name: string) => (await done(app, "createRoom", { name }, alice, "room { slug }")).room.slug;
  assert.equal(await slugOf("Café Olé!"), "cafe-ole");
  assert.equal(await slugOf("  --Ünï / cødé  100% "), "uni-c-de-100");
  assert.equal(await slugOf("ﬁne ２０"), "fine-20");
  assert.equal(await slugOf("日本語の部屋"), "room");
  assert.match(await slugOf("한국어"), /^room-[0-9a-f]{8}$/);
  assert.match(await slugOf("🦊🦊🦊"), /^room-[0-9a-f]{8}$/);
  assert.match(await slugOf("cafe OLE"), /^cafe-ole-[0-9a-f]{8}$/);
  // Cut to make room for the suffix, right behind a dash.
  const long = `${"a".repeat(50)} bbbbbbbb`;
  for (
    const slug of [await slugOf("x".repeat(80)), await slugOf("x".repeat(80)), await slugOf(long), await slugOf(long)]
  ) {
    assert.ok(slug.length <= 60, slug);
    assert.match(slug, /^[a-z0-9]+(-[a-z0-9]+)*$/);
  }
});

Deno.test("a slug that was asked for and is taken is refused; only one of two at once gets it", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  await done(app, "createRoom", { name: "First", slug: "mine", kind: "PRIVATE" }, alice);
  for (const slug of ["mine", "MINE", " mine "]) {
    assert.deepEqual(await refusal(app, "createRoom", { name: "Second", slug }, bob), ["SLUG_TAKEN", "slug"]);
  }
  const document = `mutation ($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } } }`;
  const input = { name: "Race", slug: "race" };
  const answers = await Promise.all([alice, bob, alice].map((person) => app.run(document, { input }, person)));
  const codes = answers.map(({ createRoom: { errors: [error] } }) => error?.code ?? "made").sort();
  assert.deepEqual(codes, ["SLUG_TAKEN", "SLUG_TAKEN", "made"]);
  const names = await Promise.all(
    [1, 2, 3, 4].map(() => done(app, "createRoom", { name: "Same" }, bob, "room { slug }")),
  );
  assert.equal(new Set(names.map(({ room }) => room.slug)).size, 4, "rooms of one name get slugs of their own");
});

Deno.test("a room is found by its id and by its slug in any case, also by one who is signed out", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const { id, slug } = await app.makeRoom(alice);
  const bySlug = "query ($slug: String!) { roomBySlug(slug: $slug) { id } }";
  assert.deepEqual(await app.run(bySlug, { slug: slug.toUpperCase() }), { roomBySlug: { id } });
  for (const missing of ["", "no-such-room", "\0", `${slug}%`, "half \ud83e"]) {
    assert.deepEqual(await app.run(bySlug, { slug: missing }, alice), { roomBySlug: null }, missing);
  }
  const byId = "query ($id: ID!) { room(id: $id) { slug } }";
  assert.deepEqual(await app.run(byId, { id }), { room: { slug } });
  for (const garbage of ["", "\0", "room_", id.slice(0, -1), id.replace("room", "user"), alice.id]) {
    assert.deepEqual(await app.run(byId, { id: garbage }, alice), { room: null }, garbage);
  }
});

Deno.test("what needs membership is null, without an error, for one who is not in a public room", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice);
  await app.send(alice, room, "for members");
  const document = `query ($id: ID!) {
    room(id: $id) {
      name memberCount eventCursor lastMessage { content } messages { edges { node { content } } }
      members { edges { node { id } } } viewerMembership { id }
    }
  }`;
  const hidden = { eventCursor: null, lastMessage: null, messages: null, members: null, viewerMembership: null };
  for (const person of [bob, undefined]) {
    const { status, body } = await app.post({ query: document, variables: { id: room.id } }, person);
    assert.deepEqual([status, body.errors], [200, undefined]);
    const { name: _, ...shown } = body.data.room;
    assert.deepEqual(shown, { ...hidden, memberCount: 1 });
  }
  const { room: seen } = await app.run(document, { id: room.id }, alice);
  for (const field of Object.keys(hidden)) assert.notEqual(seen[field], null, field);
});
