/** Promises of message search. */
import { strict as assert } from "node:assert";
import { encodeId, findId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp } from "./support/app.ts";
import { done } from "./support/mutations.ts";
import { assertPages, PAGE, PAGE_ARGS, PAGE_VARIABLES, type PageVariables } from "./support/pages.ts";

const SEARCH = `query ($q: String!, $filter: MessageSearchFilter, ${PAGE_VARIABLES}) {
  searchMessages(query: $q, filter: $filter, ${PAGE_ARGS}) { ${PAGE} }
}`;
const FOUND = `query ($q: String!, $filter: MessageSearchFilter) {
  searchMessages(query: $q, filter: $filter, first: 100) { edges { snippet node { content } } nodes { id } }
}`;

async function find(app: TestApp, q: string, as: Person, filter: object | null = null): Promise<string[]> {
  const { searchMessages } = await app.run(FOUND, { q, filter }, as);
  return searchMessages.edges.map(({ node }: Any) => node.content);
}

async function snippetsOf(app: TestApp, q: string, as: Person): Promise<string[]> {
  const { searchMessages } = await app.run(FOUND, { q }, as);
  return searchMessages.edges.map(({ snippet }: Any) => snippet.replaceAll("\ue000", "[").replaceAll("\ue001", "]"));
}

/** What is searched in a room that has these messages, and the one that is found. */
const SCRIPTS: readonly [
  script: string,
  messages: readonly string[],
  finds: readonly (readonly [query: string, place: number])[],
][] = [
  ["Latin", ["Ünïcode im Café", "Weiße Straße", "naive Łódź"], [
    ...[["unicode", 0], ["CAFÉ", 0], ["cafe", 0], ["strasse", 1], ["STRAẞE", 1], ["Straße", 1], ["lodz", 2]] as const,
    ...[["naïve", 2], ["tras", 1], ["nico", 0]] as const,
  ]],
  ["Greek", ["Καλημέρα κόσμε", "ὁ δρόμος"], [["καλημερα", 0], ["ΚΌΣΜΕ", 0], ["ΔΡΟΜΟΣ", 1], ["ρομο", 1]]],
  ["Cyrillic", ["Съешь ещё этих булок", "Привет, мир"], [["еще", 0], ["БУЛОК", 0], ["привет мир", 1], ["риве", 1]]],
  ["Arabic", ["مُحَمَّد في المدرسة", "أهلا وسهلا"], [["محمد", 0], ["مدرسة", 0], ["اهلا", 1], ["كلمة or وســهلا", 1]]],
  ["Hebrew", ["שָׁלוֹם עולם", "בית־ספר"], [["שלום", 0], ["עול", 0], ["ספר", 1], ["בית ספר", 1]]],
  ["Devanagari", ["नमस्ते दुनिया", "की", "का"], [["नमस्ते", 0], ["दुनि", 0], ["की", 1], ["का", 2]]],
  ["Thai", ["ฉันกินข้าวที่บ้าน", "น้ำเย็น"], [["กินข้าว", 0], ["บ้าน", 0], ["น้ำ", 1]]],
  ["Chinese", ["我们明天去北京开会", "上海很漂亮"], [["北京", 0], ["京", 0], ["明天 开会", 0], ["上海", 1], [
    "很漂",
    1,
  ]]],
  ["Japanese", ["東京タワーへ行く", "かぎをなくした", "がきだった"], [
    ...[["東京", 0], ["ﾀﾜｰ", 0], ["タワー", 0], ["行", 0], ["かぎ", 1], ["がき", 2]] as const,
  ]],
  ["Korean", ["한국어를 공부합니다", "서울에서 만나요"], [["한국어", 0], ["공부", 0], ["서울", 1], ["만", 1], [
    "서울".normalize("NFD"),
    1,
  ]]],
  ["emoji", ["party 🎉🎉 tonight", "well done 👍🏽", "❤️", "C++ and C#"], [
    ...[["🎉", 0], ["🎉 tonight", 0], ["👍", 1], ["👍🏽", 1], ["❤", 2], ["c++", 3], ["C#", 3]] as const,
  ]],
  ["numbers", ["call +49 170 1234567", "v3.14.15", "１２３"], [["234567", 0], ["V3.14", 1], ["14.15", 1], [
    "123 -call",
    2,
  ]]],
];

Deno.test("messages are found in every script, by words and by parts of them, whatever their accents and case", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  for (const [script, messages, finds] of SCRIPTS) {
    const room = await app.makeRoom(alice);
    for (const content of messages) await app.send(alice, room, content);
    for (const [query, place] of finds) {
      assert.deepEqual(await find(app, query, alice, { roomIds: [room.id] }), [messages[place]], `${script}: ${query}`);
    }
  }
});

Deno.test("a query has words, phrases, alternatives and what must not be there", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const texts = ["red fox", "The **fox** is red.", "red, `fox`: blue", "redfox", "blue whale", "or", "foxes in Texas"];
  for (const content of texts) await app.send(alice, room, content);
  const finds: [query: string, places: number[]][] = [
    ["red fox", [2, 1, 0, 3]],
    ["FOX", [2, 1, 0, 6, 3]],
    ['"red fox"', [2, 0]],
    ['"fox red', []],
    ['"red fox', [2, 0]],
    ["red -fox", []],
    ["fox -blue", [1, 0, 6, 3]],
    ['fox -"red fox"', [1, 6, 3]],
    ["whale or fox", [4, 2, 1, 0, 6, 3]],
    ["whale OR texas -in", [4]],
    ["or whale or", [4]],
    ['"or"', [5]],
    ["re", [3, 2, 1, 0]],
    ["ed", []],
    ["exa", [6]],
    ["red---fox", [2, 0]],
    ["fox fox fox", [2, 1, 0, 6, 3]],
    ["'; drop table messages; --", []],
  ];
  for (const [query, places] of finds) {
    assert.deepEqual(await find(app, query, alice), places.map((place) => texts[place]), query);
  }
  for (const typed of ["", " ", "%", "or", '"']) {
    assert.deepEqual(await find(app, typed, alice), [], "no word was typed yet");
  }
  const refused: [query: string, limit?: number][] = [
    ["-fox"],
    ["red or -fox"],
    ["x".repeat(201), 200],
    ["x ".repeat(17), 16],
  ];
  for (const [q, limit] of refused) {
    const { status, body } = await app.post({ query: FOUND, variables: { q } }, alice);
    assert.equal(status, 400, q);
    assert.equal(body.errors?.[0].extensions.code, "BAD_USER_INPUT", q);
    assert.equal(body.errors?.[0].extensions.limit, limit, q);
  }
  assert.deepEqual(await find(app, "🦊".repeat(200), alice), []);
  const { body } = await app.post({ query: FOUND, variables: { q: "fox" } });
  assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED");
});

Deno.test("what is edited or deleted is found as it is now, and by nobody who may not read it", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(bob, room, "a lonely sparrow");
  assert.deepEqual(await find(app, "sparrow", alice), ["a lonely sparrow"]);
  await done(app, "editMessage", { messageId, content: "a lonely magpie" }, bob);
  assert.deepEqual([await find(app, "sparrow", alice), await find(app, "magpie", alice)], [[], ["a lonely magpie"]]);
  await done(app, "deleteMessage", { messageId }, bob);
  assert.deepEqual(await find(app, "magpie", alice), []);
  const [{ count }] = await app.app.sql<Any[]>`select count(*) from message_texts`;
  assert.equal(count, 0, "the words are gone from the database too");

  await app.send(alice, room, "swallows in the barn");
  assert.deepEqual(await find(app, "swallow", bob), ["swallows in the barn"]);
  assert.deepEqual(await find(app, "swallow", carol), [], "a public room is searched by its members");
  await done(app, "kickMember", { roomId: room.id, userId: bob.id }, alice);
  assert.deepEqual(await find(app, "swallow", bob), []);
  assert.deepEqual(await find(app, "swallow", bob, { roomIds: [room.id] }), []);
  await done(app, "joinRoom", { roomId: room.id }, bob);
  assert.deepEqual(await find(app, "swallow", bob), ["swallows in the barn"], "with the history, who may read it");
});

Deno.test("a search is narrowed by room, author, time and files", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const [first, second] = [await app.makeRoom(alice, bob), await app.makeRoom(alice, bob)];
  const elsewhere = await app.makeRoom(bob);
  await app.send(alice, first, "tea one");
  await app.send(bob, first, "tea two");
  await app.send(bob, second, "tea three");
  await app.send(bob, elsewhere, "tea four");
  const [{ at }] = await app.app.sql<Any[]>`select created_at as at from messages where content = 'tea two'`;
  const unknown = encodeId("room", newId());
  const finds: [filter: object, contents: string[]][] = [
    [{}, ["tea three", "tea two", "tea one"]],
    [{ roomIds: [first.id] }, ["tea two", "tea one"]],
    [{ roomIds: [first.id, elsewhere.id, unknown, "garbage"] }, ["tea two", "tea one"]],
    [{ roomIds: [elsewhere.id] }, []],
    [{ roomIds: [] }, []],
    [{ roomIds: null, authorIds: null, createdFrom: null }, ["tea three", "tea two", "tea one"]],
    [{ authorIds: [bob.id] }, ["tea three", "tea two"]],
    [{ authorIds: [alice.id, bob.id], roomIds: [second.id] }, ["tea three"]],
    [{ authorIds: [unknown] }, []],
    [{ createdFrom: at }, ["tea three", "tea two"]],
    [{ createdBefore: at }, ["tea one"]],
    [{ createdFrom: at, createdBefore: at }, []],
    [{ createdBefore: "2020-01-01T00:00:00Z" }, []],
    [{ createdFrom: "2999-01-01T00:00:00Z" }, []],
    [{ mediaKinds: ["IMAGE"] }, []],
  ];
  for (const [filter, contents] of finds) {
    assert.deepEqual(await find(app, "tea", alice, filter), contents, JSON.stringify(filter));
  }
});

Deno.test("hits come in exact pages, whole words first, then the newest, however long ago they were written", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const rooms = [await app.makeRoom(alice), await app.makeRoom(alice)] as const;
  const plan = ["owl", "owls", "bowl", "an owl", "fowl", "OWL!"];
  const ids: string[] = [];
  for (const [index, content] of plan.entries()) {
    ids.push((await app.send(alice, rooms[index % 2] ?? rooms[0], content)).id);
  }
  const ranked = [5, 3, 0, 4, 2, 1].map((place) => ids[place] ?? "");
  for (const size of [1, 2, 4, 6, 7]) {
    await assertPages(
      async (page: PageVariables) => (await app.run(SEARCH, { q: "owl", ...page }, alice)).searchMessages,
      ranked,
      size,
    );
  }
  // In another quarter, in another year: what a search reads period by period.
  const { sql } = app.app;
  const owl = ids[0] ?? "";
  for (const months of [3, 12, 30, 70]) {
    await sql`update rooms set created_at = now() - make_interval(months => ${months})`;
    await sql`update messages set created_at = now() - make_interval(months => ${months}) where id = ${
      findId("message", owl)
    }`;
    await done(app, "editMessage", { messageId: owl, content: `owl of ${months}` }, alice);
    assert.deepEqual((await find(app, "owl", alice)).slice(0, 3), ["OWL!", "an owl", `owl of ${months}`]);
  }
});

Deno.test("a snippet is a piece of the text around the first match, with every match marked", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const filler = "lorem ipsum dolor sit amet ".repeat(20);
  const snippets: [content: string, query: string, snippet: string | RegExp][] = [
    ["Meet me at the\nCafé, the café!", "cafe", "Meet me at the [Café], the [café]!"],
    ["Große Straße", "strasse", "Große [Straße]"],
    ["private \ue000marks\ue001 here", "marks", "private [marks] here"],
    ["ab abc", "ab", "[ab] [ab]c"],
    ["one two three", '"two three" or one', "[one] [two three]"],
    ["明日は東京タワーへ行く", "東京 ﾀﾜｰ", "明日は[東京][タワー]へ行く"],
    ["<b>bold</b> & so", "bold", "<b>[bold]</b> & so"],
    [
      `${filler}needle ${filler}`,
      "needle",
      /^…(lorem|ipsum|dolor|sit|amet)[a-z ]+ \[needle\] [a-z ]+ (lorem|ipsum|dolor|sit|amet)…$/,
    ],
    [`needle2 ${filler}`, "needle2", /^\[needle2\] lorem [a-z ]+ (lorem|ipsum|dolor|sit|amet)…$/],
    [`${filler}needle3`, "needle3", /^…(lorem|ipsum|dolor|sit|amet) [a-z ]+ \[needle3\]$/],
    ["無".repeat(300) + "針" + "無".repeat(300), "針", /^…無+\[針\]無+…$/],
  ];
  for (const [content, query, expected] of snippets) {
    await app.send(alice, room, content);
    const [snippet = ""] = await snippetsOf(app, query, alice);
    if (typeof expected === "string") assert.equal(snippet, expected);
    else assert.match(snippet, expected);
    assert.ok(snippet.length <= 170, snippet);
  }
});
