/** What the API does not show: the log as it is stored. */
import { strict as assert } from "node:assert";
import type { App } from "../../src/app.ts";
import { encodeId, findId } from "../../src/lib/ids.ts";
import { parseEventCursor } from "../../src/lib/event_cursors.ts";
import type { RoomEventKind } from "../../src/rooms/events.ts";
import type { Any, Person, TestApp, TestRoom } from "./app.ts";
import { done } from "./mutations.ts";

/** Kind and subject of all events since the room was made and everybody had joined. Checks that none is missing. */
export async function logSince(app: TestApp, room: TestRoom): Promise<[kind: RoomEventKind, subjectId: string][]> {
  const { seq } = parseEventCursor(room.cursor);
  return (await readLog(app, room)).slice(seq);
}

/** Kind and subject of all events of the room. Checks that they are numbered 1, 2, 3, … up to its head. */
export async function readLog({ app }: TestApp, { id }: { readonly id: string }): Promise<[RoomEventKind, string][]> {
  const roomId = findId("room", id);
  const [room] = await app.sql<Any[]>`select last_seq from rooms where id = ${roomId}`;
  const events = await app.sql<Any[]>`
    select seq, kind, subject_id
    from room_events
    where room_id = ${roomId}
    order by seq`;
  assert.deepEqual(events.map(({ seq }) => seq), Array.from({ length: room.lastSeq }, (_, index) => index + 1));
  return events.map(({ kind, subjectId }) => [
    kind,
    encodeId(kind === "ROOM_UPDATED" ? "room" : kind.startsWith("MEMBER") ? "user" : "message", subjectId),
  ]);
}

/** Opens the direct conversation of these people. */
export async function makeDirectRoom(app: TestApp, ...people: Person[]): Promise<TestRoom> {
  const [opener, ...others] = people;
  const { room } = await done(
    app,
    "openDirectRoom",
    { userIds: others.map(({ id }) => id) },
    opener,
    "room { id eventCursor }",
  );
  return { id: room.id, slug: "", cursor: room.eventCursor };
}

/** Changes a membership past all rules: also the mute of an owner, whom nobody outranks. */
export async function changeMember(
  { app }: TestApp,
  { person, room, ...change }: {
    readonly person: Person;
    readonly room: Pick<TestRoom, "id">;
    readonly mutedUntil?: Date | null;
  },
): Promise<void> {
  await app.sql`
    update members
    set ${app.sql(change)}
    where room_id = ${findId("room", room.id)}
      and user_id = ${findId("user", person.id)}`;
}

/** Seconds for which the room is held: enough for requests to come as far as they can. */
const HELD_SECONDS = 0.5;
const CONNECTIONS = 10;

/** Does these things at once while the room is locked: each has looked at the database before any of them could change it. */
export async function collide<T>(
  { app }: TestApp,
  room: Pick<TestRoom, "id">,
  begin: () => readonly Promise<T>[],
): Promise<T[]> {
  await Promise.all(Array.from({ length: CONNECTIONS }, () => app.sql`select`)); // opening one later would take its time
  const held = app.sql`
    with held as (select id from rooms where id = ${findId("room", room.id)} for update)
    select pg_sleep(${HELD_SECONDS}) from held`.execute();
  const results = await Promise.all(begin());
  await held;
  return results;
}

/** Commits messages of the room's creator in one statement, as another node does whose hints get lost; returns
 * what they would be. */
export async function commitSilently(
  { app: { sql } }: { readonly app: Pick<App, "sql"> },
  room: Pick<TestRoom, "id">,
  count: number,
): Promise<Any[]> {
  return await sql`
    with room as (
      update rooms
      set last_seq = last_seq + ${count}
      where id = ${findId("room", room.id)}
      returning id, creator_id, last_seq - ${count} as old_seq
    ), message as (
      insert into messages (id, room_id, seq, author_id, content, request_hash)
      select gen_random_uuid(), id, old_seq + n, creator_id, 'message ' || n, '' from room, generate_series(1, ${count}) n
      returning id, room_id, seq, author_id
    )
    insert into room_events (room_id, seq, kind, actor_id, subject_id)
    select room_id, seq, 'MESSAGE_SENT', author_id, id from message order by seq
    returning *`;
}

/** Keeps rows of the room locked for a moment: statements that start meanwhile queue up behind each other, each with a
 * view of the data from before the others. Wait for it in the end. */
export async function holdRows(
  { app }: TestApp,
  table: "rooms" | "members",
  room: { readonly id: string },
): Promise<void> {
  const { sql } = app;
  await sql`
    with held as (
      select id
      from ${sql(table)}
      where ${sql(table === "rooms" ? "id" : "room_id")} = ${findId("room", room.id)}
      for update
    )
    select pg_sleep(0.15) from (select from held limit 1) as once`;
}
