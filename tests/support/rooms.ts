/** What the API cannot do yet, or does not show: roles, and the log as it is stored. */
import { strict as assert } from "node:assert";
import { encodeId, findId } from "../../src/lib/ids.ts";
import { parseEventCursor } from "../../src/lib/event_cursors.ts";
import type { RoomEventKind, RoomRole } from "../../src/rooms/events.ts";
import type { Any, Person, TestApp, TestRoom } from "./app.ts";

/** Gives the person, who is in one room and owns none, another role there. */
export async function setRole({ app }: TestApp, person: Person, role: RoomRole): Promise<void> {
  const [member] = await app.sql`
    with member as (
      update members
      set role = ${role}
      where user_id = ${findId("user", person.id)}
      returning room_id
    )
    update rooms
    set owner_count = owner_count + ${role === "OWNER" ? 1 : 0}
    from member
    where id = room_id
    returning id`;
  assert.ok(member, "the person is in no room");
}

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
    encodeId(kind.startsWith("MEMBER") ? "user" : "message", subjectId),
  ]);
}
