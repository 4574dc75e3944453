/** What the harness has to know of a chat to judge it: how a room is made, and where its log is. */
import type { App } from "../../src/app.ts";
import { encodeId, findId, newId } from "../../src/lib/ids.ts";
import { apiAt, type Person, type TestRoom } from "../support/app.ts";
import type { Wire } from "../support/wires.ts";
import type { Logged } from "./checker.ts";
import { numberOf } from "./journals.ts";
import { naiveMessageId } from "./naive_ids.ts";

export interface Backend {
  /** The program of a node. */
  readonly main: string;
  /** Whether one who comes late can read all of it from the beginning of the room. */
  readonly canReplay: boolean;
  /** Once, before the nodes start. */
  prepare(app: App): Promise<void>;
  makeRoom(app: App, wire: Wire, owner: Person): Promise<TestRoom>;
  /** What the database holds after the room was made, oldest first. */
  readLog(app: App, room: TestRoom): Promise<Logged[]>;
}

export const PARLEY: Backend = {
  main: "src/main.ts",
  canReplay: true,
  prepare: () => Promise.resolve(),
  makeRoom: (_app, wire, owner) => apiAt(wire.port).makeRoom(owner),
  async readLog({ sql }, room) {
    const events = await sql<{ seq: number; kind: string; subjectId: string }[]>`
      select seq, kind, subject_id
      from room_events
      where room_id = ${findId("room", room.id)}
        and seq > ${numberOf(room.cursor)}
      order by seq`;
    return events.map(({ seq, kind, subjectId }) => ({
      seq,
      messageId: kind === "MESSAGE_SENT" ? encodeId("message", subjectId) : null,
    }));
  },
};

/** The control: its people and rooms are those of Parley, its messages lie in a table of their own. */
export const NAIVE: Backend = {
  main: "tests/prove/naive_server.ts",
  canReplay: false,
  async prepare({ sql }) {
    await sql`
      create table naive_messages (
        id bigserial primary key,
        room_id uuid not null references rooms,
        author_id uuid not null references users,
        client_message_id text not null unique,
        content text not null
      )`;
  },
  async makeRoom({ sql }, _wire, owner) {
    const [roomId, userId] = [newId(), findId("user", owner.id)];
    await sql`
      with room as (
        insert into rooms (id, kind, name, slug, creator_id, owner_count, member_count)
        values (${roomId}, 'PUBLIC', ${roomId}, ${roomId}, ${userId}, 1, 1)
        returning id
      )
      insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
      select ${newId()}, id, ${userId}, 'OWNER', 0, 0 from room`;
    return { id: encodeId("room", roomId), slug: roomId, cursor: "naive.0" };
  },
  async readLog({ sql }, room) {
    const messages = await sql<{ id: number }[]>`
      select id from naive_messages where room_id = ${findId("room", room.id)} order by id`;
    return messages.map(({ id }) => ({ seq: id, messageId: naiveMessageId(id) }));
  },
};
