/** Many people, without the time that passwords and thousands of requests take. */
import type { App } from "../../src/app.ts";
import { signAccessToken } from "../../src/auth/tokens.ts";
import { encodeId, findId, newId } from "../../src/lib/ids.ts";
import { PASSWORD, PASSWORD_HASH, type Person, type TestApp, type TestRoom } from "./app.ts";
import { done } from "./mutations.ts";

/** People who are signed in and have joined the room. */
export async function gather({ app, ...api }: TestApp, room: TestRoom, count: number): Promise<Person[]> {
  const people = await enlist(app, count);
  for (const person of people) await done(api, "joinRoom", { roomId: room.id }, person);
  return people;
}

/** People who are signed in, by one statement. */
export async function enlist(app: App, count: number, role: "USER" | "ADMIN" = "USER"): Promise<Person[]> {
  const crowd = Array.from({ length: count }, () => ({
    userId: newId(),
    sessionId: newId(),
    username: `p_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`,
  }));
  const of = (key: "userId" | "sessionId" | "username") => crowd.map((one) => one[key]);
  await app.sql`
    with person as (
      select *
      from unnest(${of("userId")}::uuid[], ${of("sessionId")}::uuid[], ${of("username")}::text[])
        as t (user_id, session_id, username)
    ), account as (
      insert into users (id, username, email, password_hash, display_name, role)
      select user_id, username, username || '@example.com', ${PASSWORD_HASH}, username, ${role} from person
    ), log as (
      insert into viewer_logs (user_id) select user_id from person
    )
    insert into sessions (id, user_id, expires_at)
    select session_id, user_id, now() + interval '1 day' from person`;
  return await Promise.all(crowd.map(async ({ userId, sessionId, username }) => {
    const { accessToken: token } = await signAccessToken(app, { userId, sessionId, role });
    return { id: encodeId("user", userId), username, password: PASSWORD, token, refreshToken: "" };
  }));
}

/** Puts people into a room that nobody follows yet, without an event for each: they were there from the beginning. */
export async function place(app: App, room: { readonly id: string }, people: readonly Person[]): Promise<void> {
  const userIds = people.map(({ id }) => findId("user", id));
  const memberIds = people.map(() => newId());
  await app.sql`
    with room as (
      update rooms
      set member_count = member_count + ${people.length}
      where id = ${findId("room", room.id)}
      returning id, last_seq
    )
    insert into members (id, room_id, user_id, role, joined_seq, last_read_seq)
    select person.member_id, room.id, person.user_id, 'MEMBER', last_seq, last_seq
    from room, unnest(${memberIds}::uuid[], ${userIds}::uuid[]) as person (member_id, user_id)`;
}
