/** Promises of a deleted account: what was written stays under a placeholder, and of who wrote it nothing is left. */
import { strict as assert } from "node:assert";
import { verifyPassword } from "../src/auth/passwords.ts";
import { findId } from "../src/lib/ids.ts";
import { signUpAdmin } from "./support/admins.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { EventStream } from "./support/event_streams.ts";
import { RoomFollower } from "./support/follow.ts";
import { done, refusal } from "./support/mutations.ts";
import { readLog } from "./support/rooms.ts";
import { isSignedIn, logIn, openSocket, refreshRefusal } from "./support/sessions.ts";
import { codesOf } from "./support/transports.ts";
import { toldTo } from "./support/viewer_logs.ts";

Deno.test("a deleted person is gone at once from every device and room, and stays the author of what was written", async () => {
  await using app = await startApp();
  const [owner, person] = [await app.signUp("owner"), await app.signUp("person")];
  await done(app, "updateProfile", { displayName: "Person", bio: "About me" }, person);
  const phone = await logIn(app, person);
  const room = await app.makeRoom(owner, person);
  const sent = await app.send(person, room, "I was here");
  await using socket = await openSocket(app, person, room.id);
  await using stream = await EventStream.follow(app, phone, room);
  await using follower = new RoomFollower(app, owner, room, sent.cursor);
  await stream.next();
  await follower.next();

  const { deletedUserId } = await done(app, "deleteAccount", { password: person.password }, person, "deletedUserId");
  assert.equal(deletedUserId, person.id);
  await app.send(owner, room, "afterwards");
  const [left, last] = await follower.take(2);
  assert.deepEqual([left.__typename, left.reason, last.message.content], ["MemberRemovedEvent", "LEFT", "afterwards"]);
  assert.equal(await socket.closed, 4403);
  const seen = JSON.stringify(await Array.fromAsync(stream.results));
  assert.ok(seen.includes("UNAUTHENTICATED") && !seen.includes("afterwards"), seen);
  for (const device of [person, phone]) {
    assert.equal(await isSignedIn(app, device), false);
    assert.equal(await refreshRefusal(app, device), "INVALID_REFRESH_TOKEN");
  }

  const { room: seenRoom, user, node } = await app.run(OLD_ROOM, { room: room.id, user: person.id }, owner);
  const { username, ...placeholder } = user;
  assert.match(username, /^deleted_[0-9a-f]{12}$/);
  assert.deepEqual(placeholder, { id: person.id, displayName: "Deleted user", bio: null, isDeleted: true });
  assert.deepEqual(node, user);
  assert.equal(seenRoom.memberCount, 1);
  assert.deepEqual(seenRoom.members.nodes.map(({ user: { id } }: Any) => id), [owner.id]);
  assert.deepEqual(seenRoom.messages.nodes, [
    { content: "I was here", author: user },
    { content: "afterwards", author: { ...seenRoom.messages.nodes[1].author, id: owner.id, isDeleted: false } },
  ]);
  await assertNothingLeft(app, person);
});

Deno.test("handle and address are free again, and the old password opens nothing", async () => {
  await using app = await startApp();
  const [person, other] = [await app.signUp(), await app.signUp()];
  const { username, password } = person;
  const email = `${username}@example.com`;
  await done(app, "deleteAccount", { password }, person);
  const { user } = await app.run("query ($id: ID!) { user(id: $id) { username } }", { id: person.id }, other);
  const uuid = findId("user", person.id);
  for (const login of [username, email, user.username, `${uuid}@deleted.invalid`]) {
    for (const tried of [password, ""]) {
      assert.deepEqual(await refusal(app, "login", { login, password: tried }), ["INVALID_CREDENTIALS", "password"]);
    }
  }
  assert.equal(await verifyPassword("", ""), false);
  const document = "query ($username: String!) { userByUsername(username: $username) { id } }";
  for (const handle of [username, user.username]) {
    assert.deepEqual(await app.run(document, { username: handle }, other), { userByUsername: null });
  }
  const { viewer } = await done(app, "register", { username, email, password }, undefined, "viewer { user { id } }");
  assert.notEqual(viewer.user.id, person.id);
});

Deno.test("an account is deleted only by who knows its password, and then the request goes on as nobody's", async () => {
  await using app = await startApp();
  const [person, admin] = [await signUpAdmin(app), await signUpAdmin(app)];
  for (const password of ["", "wrong horse battery", "\0"]) {
    assert.deepEqual(await refusal(app, "deleteAccount", { password }, person), ["INVALID_CREDENTIALS", "password"]);
  }
  const query = `mutation { deleteAccount(input: { password: "x" }) { deletedUserId } }`;
  assert.deepEqual(codesOf((await app.post({ query })).body), [["UNAUTHENTICATED"]]);
  assert.equal(await isSignedIn(app, person), true);
  const { body } = await app.post({
    query: `mutation ($password: String!) {
      deleteAccount(input: { password: $password }) { deletedUserId }
      createRoom(input: { name: "From beyond" }) { room { id } }
    }`,
    variables: { password: person.password },
  }, person);
  assert.deepEqual(body.data, { deleteAccount: { deletedUserId: person.id }, createRoom: null });
  assert.deepEqual(codesOf(body), [["UNAUTHENTICATED"]]);
  const { user } = await app.run("query ($id: ID!) { user(id: $id) { accountRole } }", { id: person.id }, admin);
  assert.deepEqual(user, { accountRole: "USER" }, "an admin no more");
});

Deno.test("the last owner hands a room over first; nothing has changed until then, and an empty room goes too", async () => {
  await using app = await startApp();
  const [owner, member, watcher] = [await app.signUp(), await app.signUp(), await app.signUp()];
  const joined = await app.makeRoom(watcher, owner);
  const alone = await app.makeRoom(owner);
  const room = await app.makeRoom(owner, member);
  const { password } = owner;
  assert.deepEqual(await refusal(app, "deleteAccount", { password }, owner), ["LAST_OWNER"]);
  assert.equal(await isSignedIn(app, owner), true);
  for (const each of [joined, alone, room]) {
    const { room: { viewerMembership } } = await app.run(MEMBERSHIP, { id: each.id }, owner);
    assert.ok(viewerMembership, "a refusal leaves every room as it was");
  }
  await done(app, "updateMember", { roomId: room.id, userId: member.id, role: "OWNER" }, owner);
  await done(app, "deleteAccount", { password }, owner);
  const { room: kept, roomBySlug: gone } = await app.run(
    `query ($id: ID!, $slug: String!) { room(id: $id) { memberCount } roomBySlug(slug: $slug) { id } }`,
    { id: room.id, slug: alone.slug },
    member,
  );
  assert.deepEqual([kept, gone], [{ memberCount: 1 }, null]);
  assert.deepEqual(await app.run(MEMBERSHIP, { id: alone.id }, member), { room: null });
  await done(app, "createRoom", { name: "Again", slug: alone.slug }, member);
  for (const each of [joined, alone, room]) await readLog(app, each); // numbered without a gap
  const [stored] = await app.app.sql<Any[]>`
    select kind, deleted_at is not null as is_deleted, member_count, owner_count
    from rooms
    where id = ${findId("room", alone.id)}`;
  assert.deepEqual({ ...stored }, { kind: "PRIVATE", isDeleted: true, memberCount: 0, ownerCount: 0 });
});

Deno.test("in a direct conversation the placeholder stays", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await makeDirect(app, alice, bob);
  await app.send(bob, room, "between us");
  await done(app, "deleteAccount", { password: bob.password }, bob);
  const { room: seen } = await app.run(
    `query ($id: ID!) { room(id: $id) {
      memberCount members { nodes { user { displayName isDeleted } } } messages { nodes { content author { displayName } } }
    } }`,
    { id: room.id },
    alice,
  );
  assert.equal(seen.memberCount, 2);
  assert.deepEqual(seen.members.nodes.map(({ user }: Any) => user.isDeleted).toSorted(), [false, true]);
  assert.deepEqual(seen.messages.nodes, [{ content: "between us", author: { displayName: "Deleted user" } }]);
});

Deno.test("invites, blocks, notifications and scheduled messages end with the account, and who is concerned is told", async () => {
  await using app = await startApp();
  const [person, inviter, invitee, blocker] = [
    await app.signUp(),
    await app.signUp(),
    await app.signUp(),
    await app.signUp(),
  ];
  const room = await app.makeRoom(inviter, person);
  const [roomId, personId, inviterId, inviteeId] = [room, person, inviter, invitee].map(({ id }) =>
    id.startsWith("room_") ? findId("room", id) : findId("user", id)
  ) as [string, string, string, string];
  const { sql } = app.app;
  const other = await app.makeRoom(inviter);
  await sql`
    insert into invites (id, room_id, inviter_id, invitee_id, expires_at)
    values (gen_random_uuid(), ${roomId}, ${personId}, ${inviteeId}, now() + interval '1 day'),
      (gen_random_uuid(), ${findId("room", other.id)}, ${inviterId}, ${personId}, now() + interval '1 day'),
      (gen_random_uuid(), ${findId("room", other.id)}, ${inviterId}, ${inviteeId}, now() + interval '1 day')`;
  await sql`
    insert into notifications (id, user_id, kind, actor_id, invite_id)
    select gen_random_uuid(), invitee_id, 'INVITE', inviter_id, id from invites`;
  await sql`
    insert into scheduled_messages (id, room_id, author_id, content, request_hash, send_at)
    select gen_random_uuid(), ${roomId}, id, 'later', '', now() + interval '1 day'
    from users
    where id in (${personId}, ${inviterId})`;
  await done(app, "blockUser", { userId: person.id }, blocker);
  await done(app, "blockUser", { userId: blocker.id }, person);
  const before = await Promise.all([invitee, blocker].map((each) => toldTo(app, each)));

  await done(app, "deleteAccount", { password: person.password }, person);
  const invites = await sql<Any[]>`
    select inviter_id = ${personId} or invitee_id = ${personId} as is_theirs, status from invites order by status`;
  assert.deepEqual(invites.map(({ isTheirs, status }) => [isTheirs, status]), [
    [false, "PENDING"],
    [true, "REVOKED"],
    [true, "REVOKED"],
  ]);
  const scheduled = await sql<Any[]>`select author_id, status from scheduled_messages order by status`;
  assert.deepEqual(scheduled.map(({ authorId, status }) => [authorId, status]), [
    [personId, "CANCELED"],
    [inviterId, "PENDING"],
  ]);
  const [counts] = await sql`
    select (select count(*) from blocks) as blocks,
      (select count(*) from notifications where user_id = ${personId}) as theirs,
      (select count(*) from notifications) as notifications`;
  assert.deepEqual({ ...counts }, { blocks: 0, theirs: 0, notifications: 2 });
  const after = await Promise.all([invitee, blocker].map((each) => toldTo(app, each)));
  assert.deepEqual(after.map((told, index) => told.slice(before[index]?.length)), [
    ["INVITE_UPDATED"],
    ["VIEWER_UPDATED"],
  ]);
});

const USER = "id username displayName bio isDeleted";
const OLD_ROOM = `query ($room: ID!, $user: ID!) {
  room(id: $room) { memberCount members { nodes { user { id } } } messages { nodes { content author { ${USER} } } } }
  user(id: $user) { ${USER} }
  node(id: $user) { ... on User { ${USER} } }
}`;
const MEMBERSHIP = "query ($id: ID!) { room(id: $id) { viewerMembership { id } } }";

/** Makes a direct conversation of two. */
async function makeDirect(app: TestApp, ...people: [Person, Person]): Promise<TestRoom> {
  const room = await app.makeRoom(...people);
  const key = people.map(({ id }) => findId("user", id)).toSorted().join();
  await app.app.sql`
    update rooms
    set kind = 'DIRECT', name = null, slug = null, owner_count = 0, direct_key = ${key}
    where id = ${findId("room", room.id)}`;
  await app.app.sql`update members set role = 'MEMBER' where room_id = ${findId("room", room.id)}`;
  return room;
}

/** Neither name nor address nor device of the person is anywhere in the database. */
async function assertNothingLeft({ app }: TestApp, { username }: Person): Promise<void> {
  const tables = await app.sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public'`;
  for (const { name } of tables) {
    const found = await app.sql`
      select from ${app.sql(name)} as row where row::text like ${`%${username}%`} or row::text like '%About me%'`;
    assert.equal(found.length, 0, name);
  }
  const [devices] = await app.sql<Any[]>`
    select count(ip_address) as addresses
    from sessions
    join users on users.id = sessions.user_id
    where users.deleted_at is not null`;
  assert.equal(devices?.addresses, 0);
}
