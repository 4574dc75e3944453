/** Promises of what holds messages back: slow mode, mutes, and blocks between two people. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import { collide, logSince, makeDirectRoom } from "./support/rooms.ts";

Deno.test("in slow mode a member sends one message at a time, however many at once; retries and moderators are free", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const room = await app.makeRoom(alice, bob, carol);
  await done(app, "updateMember", { roomId: room.id, userId: carol.id, role: "MODERATOR" }, alice);
  await done(app, "updateRoom", { roomId: room.id, slowModeSeconds: 3600 }, alice);
  const send = (as: Person, input: object = {}) =>
    mutate(
      app,
      "sendMessage",
      { roomId: room.id, content: "hi", ...input },
      as,
      "message { id } errors { ... on RateLimitedError { retryAfterMs } }",
    );
  const first = { clientMessageId: "first" };
  const bad = { replyToId: "garbage" };
  assert.equal((await send(bob, bad)).errors[0].code, "NOT_FOUND");
  const hiddenReply = { replyToId: (await app.send(alice, await app.makeRoom(alice), "elsewhere")).id };
  assert.equal((await send(bob, hiddenReply)).errors[0].code, "NOT_FOUND");
  const answers = await collide<Any>(
    app,
    room,
    () => [1, 2, 3, 4, 5].map((n) => send(bob, { clientMessageId: `${n}` })),
  );
  const refused = answers.flatMap(({ errors }) => errors);
  assert.equal(refused.length, 4);
  for (const { code, path, __typename, retryAfterMs } of refused) {
    assert.deepEqual([__typename, code, path], ["RateLimitedError", "SLOW_MODE", null]);
    assert.ok(retryAfterMs > 3_500_000 && retryAfterMs <= 3_600_000, `${retryAfterMs}`);
  }
  const index = answers.findIndex(({ errors }) => errors.length === 0);
  const retry = await send(bob, { clientMessageId: `${index + 1}` });
  assert.deepEqual([retry.errors, retry.message.id], [[], answers[index].message.id], "a retry is no second message");
  for (const person of [carol, carol, alice, alice]) await send(person, first);
  for (const person of [carol, alice]) assert.deepEqual((await send(person)).errors, []);
  const sent = (await logSince(app, room)).filter(([kind]) => kind === "MESSAGE_SENT");
  assert.equal(sent.length, 5);
  await app.app.sql`update members set last_sent_at = now() - interval '1 hour' where user_id = ${
    findId("user", bob.id)
  }`;
  assert.deepEqual((await send(bob)).errors, []);
  await done(app, "updateRoom", { roomId: room.id, slowModeSeconds: 0 }, alice);
  assert.deepEqual((await send(bob)).errors, []);
});

Deno.test("no message of a muted member comes after the mute, not even one that was on its way", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const { id: messageId } = await app.send(bob, room, "before");
  const mute = app.app.sql`
    with member as (
      update members
      set muted_until = now() + interval '1 hour'
      where user_id = ${findId("user", bob.id)}
      returning id, room_id, user_id
    ), room as (
      update rooms
      set last_seq = last_seq + 1
      from member
      where rooms.id = member.room_id
      returning rooms.id, last_seq
    )
    insert into room_events (room_id, seq, kind, actor_id, subject_id)
    select room.id, last_seq, 'MEMBER_UPDATED', user_id, user_id from room, member`;
  const attempt = (name: string, input: object) => mutate(app, name, input, bob);
  const [, ...answers] = await collide<Any>(app, room, () => [
    mute.execute(),
    attempt("sendMessage", { roomId: room.id, content: "after" }),
    attempt("editMessage", { messageId, content: "after" }),
    attempt("addReaction", { messageId, emoji: "👍" }),
  ]);
  for (const { code } of answers.flatMap(({ errors }) => errors)) assert.equal(code, "FORBIDDEN");
  assert.equal((await logSince(app, room)).at(-1)?.[0], "MEMBER_UPDATED");
});

Deno.test("a block closes the conversation of two in both directions, and leaves larger ones open", async () => {
  await using app = await startApp();
  const [alice, bob, carol] = [await app.signUp("alice"), await app.signUp("bob"), await app.signUp("carol")];
  const two = await makeDirectRoom(app, alice, bob);
  const three = await makeDirectRoom(app, alice, bob, carol);
  const { id: messageId } = await app.send(alice, two, "before");
  const [aliceId = "", bobId = ""] = [alice, bob].map(({ id }) => findId("user", id) ?? "");
  await app.app.sql`insert into blocks (blocker_id, blocked_id) values (${aliceId}, ${bobId})`;
  for (const person of [alice, bob]) {
    const input = { roomId: two.id, content: "after" };
    assert.deepEqual(await refusal(app, "sendMessage", input, person), ["BLOCKED", "roomId"]);
    await app.send(person, three, "among three");
  }
  await done(app, "deleteMessage", { messageId }, alice);
  await app.app.sql`delete from blocks`;
  await app.send(bob, two, "friends again");
});
