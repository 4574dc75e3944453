/** More than one device of a person, and what becomes of them. */
import { strict as assert } from "node:assert";
import { startSession } from "../../src/auth/sessions.ts";
import { findId } from "../../src/lib/ids.ts";
import type { Any, Person, TestApp } from "./app.ts";
import { connect, ROOM_EVENTS } from "./follow.ts";
import { done, mutate } from "./mutations.ts";

const TOKENS = "tokens { accessToken refreshToken accessTokenExpiresAt refreshTokenExpiresAt }";

/** Signs the person in on another device. */
export async function logIn(app: TestApp, person: Person, clientName?: string): Promise<Person> {
  const { username: login, password } = person;
  const { tokens } = await done(app, "login", { login, password, clientName }, undefined, TOKENS);
  return { ...person, token: tokens.accessToken, refreshToken: tokens.refreshToken };
}

/** Another device of the person, signed in without the password: to verify one takes 0.3 s. */
export async function addDevice({ app }: TestApp, person: Person): Promise<Person> {
  const id = findId("user", person.id) ?? "";
  const { tokens } = await startSession(app, { id }, { clientName: null, ipAddress: "127.0.0.1" });
  return { ...person, token: tokens.accessToken, refreshToken: tokens.refreshToken };
}

/** The person with the next tokens of the session. */
export async function refresh(app: TestApp, person: Person): Promise<Person> {
  const { refreshToken } = person;
  const { tokens } = await done(app, "refreshSession", { refreshToken }, undefined, TOKENS);
  return { ...person, token: tokens.accessToken, refreshToken: tokens.refreshToken };
}

/** Why the refresh token is refused; `null` where it works. */
export async function refreshRefusal(app: TestApp, { refreshToken }: Person): Promise<string | null> {
  const { errors, tokens } = await mutate(app, "refreshSession", { refreshToken }, undefined, TOKENS);
  assert.equal(tokens === null, errors.length > 0);
  return errors[0]?.code ?? null;
}

/** Whether the access token is believed; anything but a plain yes or UNAUTHENTICATED fails. */
export async function isSignedIn(app: TestApp, person: Person): Promise<boolean> {
  const { status, body } = await app.post({ query: "{ viewer { user { id } } }" }, person);
  if (body.errors === undefined) {
    assert.equal(body.data.viewer.user.id, person.id);
    return true;
  }
  assert.deepEqual([status, body.errors[0].extensions.code], [401, "UNAUTHENTICATED"]);
  return false;
}

export interface Device {
  readonly id: string;
  readonly isCurrent: boolean;
  readonly clientName: string | null;
  readonly ipAddress: string | null;
}

/** What the person sees in the list of devices. */
export async function listDevices(app: TestApp, person: Person): Promise<Device[]> {
  const { viewer } = await app.run("{ viewer { sessions { id isCurrent clientName ipAddress } } }", {}, person);
  return viewer.sessions;
}

export async function currentDevice(app: TestApp, person: Person): Promise<Device> {
  const [current, ...others] = (await listDevices(app, person)).filter(({ isCurrent }) => isCurrent);
  assert.ok(current);
  assert.deepEqual(others, []);
  return current;
}

export interface OpenSocket extends AsyncDisposable {
  /** Settles with the close code. */
  readonly closed: Promise<number>;
  /** Whether the server still answers on it. */
  isOpen(): Promise<boolean>;
}

/** A socket of the person that follows a room; it is open when the promise settles. */
export async function openSocket(app: TestApp, person: Person, roomId: string): Promise<OpenSocket> {
  const client = connect(app, person);
  const closed = new Promise<number>((resolve) => client.on("closed", (event) => resolve((event as Any).code)));
  const opened = Promise.withResolvers<void>();
  client.subscribe({ query: ROOM_EVENTS, variables: { roomId } }, {
    next: () => opened.resolve(),
    error: opened.reject, // once it is open, an error is the close that the test waits for
    complete: () => {},
  });
  await opened.promise;
  return {
    closed,
    async isOpen() {
      const answer = client.iterate({ query: "{ viewer { id } }" }).next().then(() => true);
      return await Promise.race([answer, closed.then(() => false)]);
    },
    [Symbol.asyncDispose]: async () => await client.dispose(),
  };
}
