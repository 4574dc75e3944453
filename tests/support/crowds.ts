/** Many people, without the time that many passwords take. */
import { signAccessToken } from "../../src/auth/tokens.ts";
import { encodeId, newId } from "../../src/lib/ids.ts";
import type { Person, TestApp, TestRoom } from "./app.ts";
import { done } from "./mutations.ts";

/** People who are signed in and in the room; none of them has a password. */
export async function gather({ app, ...api }: TestApp, room: TestRoom, count: number): Promise<Person[]> {
  const people: Person[] = [];
  for (let n = 0; n < count; n++) {
    const [userId, sessionId] = [newId(), newId()];
    const username = `crowd_${crypto.randomUUID().slice(0, 12).replace("-", "_")}`;
    await app.sql`
      with account as (
        insert into users (id, username, email, password_hash, display_name)
        values (${userId}, ${username}, ${username + "@example.com"}, '', ${username})
      )
      insert into sessions (id, user_id, expires_at) values (${sessionId}, ${userId}, now() + interval '1 day')`;
    const { accessToken: token } = await signAccessToken(app, { userId, sessionId, role: "USER" });
    const person = { id: encodeId("user", userId), username, password: "", token, refreshToken: "" };
    await done(api, "joinRoom", { roomId: room.id }, person);
    people.push(person);
  }
  return people;
}
