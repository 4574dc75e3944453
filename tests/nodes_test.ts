/** Promises of global ids, and of requests that do several things. */
import { strict as assert } from "node:assert";
import { encodeId, newId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { done } from "./support/mutations.ts";

/** The ids of one of each kind that this person has. */
async function idsOf(app: TestApp, person: Person, room: TestRoom): Promise<Record<string, string>> {
  const document = "query ($id: ID!) { viewer { id sessions { id } } room(id: $id) { viewerMembership { id } } }";
  const { viewer, room: { viewerMembership } } = await app.run(document, { id: room.id }, person);
  return {
    Viewer: viewer.id,
    User: person.id,
    Session: viewer.sessions[0].id,
    Room: room.id,
    RoomMember: viewerMembership.id,
    Message: (await app.send(person, room, "hi")).id,
  };
}

Deno.test("any id leads back to its object, for those who may see it", async () => {
  await using app = await startApp();
  const [alice, bob, eve] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("eve")];
  const room = await app.makeRoom(alice, bob);
  const ids = await idsOf(app, alice, room);
  assert.equal(new Set(Object.values(ids)).size, 6);
  const visible: [person: Person, types: string[]][] = [
    [alice, Object.keys(ids)],
    [bob, ["User", "Room", "RoomMember", "Message"]],
    [eve, ["User", "Room"]],
  ];
  for (const [person, types] of visible) {
    for (const [type, id] of Object.entries(ids)) {
      const { node, nodes } = await app.run(
        "query ($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { __typename id } }",
        { id },
        person,
      );
      const expected = types.includes(type) ? { __typename: type, id } : null;
      assert.deepEqual([node, nodes], [expected, [expected]], `${type} for ${person.username}`);
    }
    const { body } = await app.post({ query: `{ node(id: "${room.id}") { id } }` });
    assert.equal(body.errors?.[0].extensions.code, "UNAUTHENTICATED");
  }
});

Deno.test("objects come in the order that was asked for, repeated ones again, and null for what is not there", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const { Message: message = "", Session: session = "", Viewer: viewer = "" } = await idsOf(app, bob, room);
  const missing = (["user", "session", "room", "member", "message", "viewer"] as const).map((kind) =>
    encodeId(kind, newId())
  );
  const suffix = alice.id.slice("user_".length);
  const garbage = [
    "",
    "\0",
    "_",
    "user_",
    suffix,
    `planet_${suffix}`,
    `USER_${suffix}`,
    `user_${suffix}0`,
    alice.id.slice(0, -1),
  ];
  garbage.push(
    `user_${"z".repeat(26)}`,
    `user_${"u".repeat(26)}`,
    `user_${"8".padEnd(26, "0")}`,
    "user_\ud83e",
    "x".repeat(10_000),
  );
  const found = [message, bob.id, alice.id, room.id, bob.id, message];
  const ids = [...found.slice(0, 3), session, viewer, ...garbage, ...missing, ...found.slice(3)];
  const { nodes } = await app.run("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", { ids }, alice);
  const expected = ids.map((id) => found.includes(id) ? { id } : null);
  for (const [index, id] of ids.entries()) assert.deepEqual(nodes[index], expected[index], id.slice(0, 50));
  assert.equal(nodes.length, ids.length);
});

Deno.test("100 objects are fetched at once, 101 are refused", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
  const { nodes } = await app.run(query, { ids: Array(100).fill(alice.id) }, alice);
  assert.equal(nodes.filter((node: Any) => node?.id === alice.id).length, 100);
  assert.deepEqual(await app.run(query, { ids: [] }, alice), { nodes: [] });
  const { body } = await app.post({ query, variables: { ids: Array(101).fill(alice.id) } }, alice);
  const [{ extensions: { code, limit } }] = body.errors ?? [];
  assert.deepEqual([code, limit], ["BAD_USER_INPUT", 100]);
});

Deno.test("several mutations in one request each see what those before them did", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice);
  const seen =
    "room { memberCount eventCursor viewerMembership { role } lastMessage { content author { displayName } } }";
  const document = `mutation ($id: ID!) {
    join: joinRoom(input: { roomId: $id }) { ${seen} }
    name: updateProfile(input: { displayName: "Bob" }) { user { displayName } }
    one: sendMessage(input: { roomId: $id, content: "one" }) { ${seen} }
    rename: updateProfile(input: { displayName: "Robert" }) { user { displayName } }
    two: sendMessage(input: { roomId: $id, content: "two" }) { ${seen} }
    leave: leaveRoom(input: { roomId: $id }) { ${seen} }
    again: joinRoom(input: { roomId: $id }) { ${seen} }
  }`;
  const data = await app.run(document, { id: room.id }, bob);
  const cursors = ["join", "one", "two", "leave", "again"].map((name) => {
    const { eventCursor } = data[name].room;
    delete data[name].room.eventCursor;
    return eventCursor && Number(eventCursor.split(".")[1]);
  });
  assert.deepEqual(cursors, [2, 3, 4, null, 6]);
  const inside = (content: string, displayName: string) => ({
    room: { memberCount: 2, viewerMembership: { role: "MEMBER" }, lastMessage: { content, author: { displayName } } },
  });
  assert.deepEqual(data, {
    join: { room: { memberCount: 2, viewerMembership: { role: "MEMBER" }, lastMessage: null } },
    name: { user: { displayName: "Bob" } },
    one: inside("one", "Bob"),
    rename: { user: { displayName: "Robert" } },
    two: inside("two", "Robert"),
    leave: { room: { memberCount: 1, viewerMembership: null, lastMessage: null } },
    again: inside("two", "Robert"),
  });
});

Deno.test("one failure in a request hides neither what came before it nor what comes after", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const { id } = await app.send(alice, room, "first");
  const document = `mutation ($room: ID!, $id: ID!) {
    empty: sendMessage(input: { roomId: $room, content: " " }) { message { id } errors { code } }
    edit: editMessage(input: { messageId: $id, content: "second" }) { message { content } errors { code } }
    remove: deleteMessage(input: { messageId: $id }) { message { content } errors { code } }
    late: editMessage(input: { messageId: $id, content: "third" }) { message { content } errors { code } }
  }`;
  const data = await app.run(document, { room: room.id, id }, alice);
  assert.deepEqual(data, {
    empty: { message: null, errors: [{ code: "EMPTY" }] },
    edit: { message: { content: "second" }, errors: [] },
    remove: { message: { content: null }, errors: [] },
    late: { message: null, errors: [{ code: "NOT_EDITABLE" }] },
  });
  await done(app, "sendMessage", { roomId: room.id, content: "fourth" }, alice);
});
