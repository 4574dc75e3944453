/** The promise behind messages that are sent later: what a message uses up is used up with it, or not at all. */
import { strict as assert } from "node:assert";
import type { App } from "../src/app.ts";
import { AppError } from "../src/errors.ts";
import { findId, newId } from "../src/lib/ids.ts";
import type { Claim } from "../src/messages/drafts.ts";
import { sendMessage } from "../src/messages/send.ts";
import { requireMember } from "../src/rooms/members.ts";
import { type Any, startApp } from "./support/app.ts";
import { changeMember, collide, logSince } from "./support/rooms.ts";

/** The claim of a scheduled message. */
function claimOf({ sql }: App, id: string): Claim {
  return {
    scheduledMessageId: id,
    lock: sql`select id from scheduled_messages where id = ${id} and status = 'PENDING' for no key update`,
    settle: sql`
      update scheduled_messages
      set status = 'SENT', sent_message_id = message.id
      from claimed, message
      where scheduled_messages.id = claimed.id
      returning scheduled_messages.id, scheduled_messages.author_id`,
    news: sql`
      select author_id as user_id, 'SCHEDULED_MESSAGE_UPDATED' as kind, id as subject_id, null::jsonb as data from settled`,
  };
}

Deno.test("a claim is used up by one message, however many try at once, and stays when nothing can be sent", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  const [userId = "", roomId = ""] = [findId("user", alice.id), findId("room", room.id)].map((id) => id ?? "");
  const id = newId();
  await app.app.sql`
    insert into scheduled_messages (id, room_id, author_id, content, request_hash, send_at)
    values (${id}, ${roomId}, ${userId}, 'later', '', now())`;
  const member = await requireMember(app.app, { userId }, roomId);
  const attempt = () =>
    sendMessage(app.app, member, { content: `later @${bob.username}`, claim: claimOf(app.app, id) })
      .then(({ id }) => id, (error) => error instanceof AppError ? error.code : Promise.reject(error));
  const stored = async () =>
    (await app.app.sql<Any[]>`select status, sent_message_id from scheduled_messages where id = ${id}`)[0];

  await changeMember(app, { person: alice, room, mutedUntil: new Date(Date.now() + 60_000) });
  assert.equal(await attempt(), "FORBIDDEN");
  assert.deepEqual(await stored(), { status: "PENDING", sentMessageId: null });
  await changeMember(app, { person: alice, room, mutedUntil: null });

  const results = await collide(app, room, () => [attempt(), attempt(), attempt()]);
  const sent = results.filter((result) => result !== "NOT_SCHEDULABLE");
  assert.equal(sent.length, 1);
  assert.deepEqual(await stored(), { status: "SENT", sentMessageId: sent[0] });
  assert.deepEqual((await logSince(app, room)).map(([kind]) => kind), ["MESSAGE_SENT"]);
  // Somebody who has not written for long, in a room that was slow once.
  await app.app.sql`update members set last_sent_at = now() - interval '1 year'`;
  assert.equal(await attempt(), "NOT_SCHEDULABLE");
  const told = await app.app.sql<Any[]>`
    select kind from viewer_events where kind in ('SCHEDULED_MESSAGE_UPDATED', 'NOTIFICATION_CREATED') order by kind`;
  assert.deepEqual(told.map(({ kind }) => kind), ["NOTIFICATION_CREATED", "SCHEDULED_MESSAGE_UPDATED"]);
});
