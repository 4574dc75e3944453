/** Which access tokens are believed, and what one that is not means on each transport. */
import { strict as assert } from "node:assert";
import { decodeJwt, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { type Person, startApp, type TestApp } from "./support/app.ts";
import { RawSocket } from "./support/sockets.ts";
import { codesOf } from "./support/transports.ts";

const HEADER = { alg: "HS256", typ: "at+jwt" };
const OTHER_KEY = "another secret, which has 32 bytes too";

type Signer = (app: TestApp, claims: JWTPayload) => string | Promise<string>;

const sign = (claims: JWTPayload, key: string, header = HEADER) =>
  new SignJWT(claims).setProtectedHeader(header).sign(new TextEncoder().encode(key));

/** Signed by the server's own key, but with these claims; `undefined` leaves one out. */
const claiming = (changed: Record<string, unknown>): Signer => (app, claims) =>
  sign({ ...claims, ...changed }, app.app.jwtSecret);

const withHeader = (header: typeof HEADER): Signer => (app, claims) => sign(claims, app.app.jwtSecret, header);

const BAD_TOKENS: Readonly<Record<string, Signer>> = {
  "expired": claiming({ exp: Math.floor(Date.now() / 1000) - 1 }),
  "without `exp`": claiming({ exp: undefined }),
  "without `iat`": claiming({ iat: undefined }),
  "without `sub`": claiming({ sub: undefined }),
  "without `sid`": claiming({ sid: undefined }),
  "of somebody who is no user id": claiming({ sub: "alice" }),
  "of an unknown role": claiming({ role: "ROOT" }),
  "of another issuer": claiming({ iss: "somebody else" }),
  "without an issuer": claiming({ iss: undefined }),
  "for another audience": claiming({ aud: "somebody else" }),
  "without an audience": claiming({ aud: undefined }),
  "of another type": withHeader({ alg: "HS256", typ: "JWT" }),
  "signed by another algorithm": withHeader({ alg: "HS512", typ: "at+jwt" }),
  "signed with another key": (_app, claims) => sign(claims, OTHER_KEY),
  "unsigned": (_app, claims) => new UnsecuredJWT(claims).encode(),
  "changed after it was signed": async (app, claims) => {
    const [header, , signature] = (await sign(claims, app.app.jwtSecret)).split(".");
    const [, payload] = (await sign({ ...claims, role: "ADMIN" }, OTHER_KEY)).split(".");
    return `${header}.${payload}.${signature}`;
  },
  "no token at all": () => "nonsense",
};

Deno.test("a bad token is refused with 401 even where no token is needed, and closes a socket with 4403", async (t) => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const claims = decodeJwt(alice.token);
  await t.step("a token that is signed like those of the server is believed", async () => {
    await assertBelieved(app, { ...alice, token: await sign(claims, app.app.jwtSecret) });
  });
  for (const [what, make] of Object.entries(BAD_TOKENS)) {
    await t.step(what, async () => await assertRefused(app, { ...alice, token: await make(app, claims) }));
  }
});

Deno.test("the token of a session that has ended is refused from then on", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  await assertBelieved(app, alice);
  await app.run("mutation { logout { endedSessionId } }", {}, alice);
  await assertRefused(app, alice);
});

async function assertBelieved(app: TestApp, as: Person): Promise<void> {
  assert.equal((await app.run(WHO, {}, as)).viewer.user.id, as.id);
  await using socket = await RawSocket.signIn(app, as);
  assert.equal((await socket.ask(WHO)).data.viewer.user.id, as.id);
}

async function assertRefused(app: TestApp, as: Person): Promise<void> {
  const { status, body } = await app.post({ query: "{ publicRooms { nodes { id } } }" }, as);
  assert.deepEqual([status, codesOf(body), body.data], [401, [["UNAUTHENTICATED"]], undefined]);
  await using socket = await RawSocket.open(app);
  socket.send({ type: "connection_init", payload: { Authorization: `Bearer ${as.token}` } });
  assert.deepEqual(await socket.closedUnless("connection_ack"), { code: 4403, reason: "Forbidden" });
}

const WHO = "{ viewer { user { id } } }";

Deno.test("one whose token is bad can still register, sign in, refresh and sign out", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const bad = { ...alice, token: "nonsense" };
  const select = "tokens { accessToken } viewer { user { id username } } errors { code }";
  const username = `bob_${crypto.randomUUID().slice(0, 8)}`;
  const inputs = {
    register: { username, email: `${username}@example.com`, password: alice.password },
    login: { login: alice.username, password: alice.password },
    refreshSession: { refreshToken: alice.refreshToken },
  };
  for (const [name, input] of Object.entries(inputs)) {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const data = await app.run(`mutation ($input: ${type}!) { ${name}(input: $input) { ${select} } }`, { input }, bad);
    assert.deepEqual(data[name].errors, [], name);
    assert.equal(data[name].viewer.user.username, name === "register" ? username : alice.username);
    await assertBelieved(app, { ...alice, id: data[name].viewer.user.id, token: data[name].tokens.accessToken });
  }
  const { logout } = await app.run("mutation { logout { endedSessionId errors { code } } }", {}, bad);
  assert.deepEqual(logout, { endedSessionId: null, errors: [] });
});

Deno.test("signing in does not let a bad token do anything else in the same request", async () => {
  await using app = await startApp();
  const bad = { ...await app.signUp("alice"), token: "nonsense" };
  for (
    const query of [
      `mutation { logout { endedSessionId } revokeOtherSessions { endedSessionIds } }`,
      `mutation { ...Both } fragment Both on Mutation { logout { endedSessionId } revokeOtherSessions { endedSessionIds } }`,
      `mutation SignOut { logout { endedSessionId } } query Look { publicRooms { nodes { id } } }`,
    ]
  ) {
    const { status, body } = await app.post({ query, operationName: query.includes("Look") ? "Look" : null }, bad);
    assert.deepEqual([status, codesOf(body), body.data], [401, [["UNAUTHENTICATED"]], undefined], query);
  }
});

Deno.test("a socket takes the token from every place where clients put it, with and without Bearer", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  for (const token of [alice.token, `Bearer ${alice.token}`, `bearer ${alice.token}`]) {
    for (
      const payload of [
        { Authorization: token },
        { authorization: token },
        { headers: { Authorization: token } },
        { headers: { authorization: token } },
        { authToken: token },
        { token },
        { accessToken: token },
        { Authorization: "", token },
        { authorization: null, accessToken: token },
      ]
    ) {
      await using socket = await RawSocket.connect(app, payload);
      const { data } = await socket.ask(WHO);
      assert.equal(data.viewer?.user.id, alice.id, `${token.slice(0, 7)}… in ${Object.keys(payload)}`);
    }
  }
});

Deno.test("a socket without a token is nobody's: it may read what is public, and nothing else", async () => {
  await using app = await startApp();
  const room = await app.makeRoom(await app.signUp("alice"));
  for (const payload of [{}, { token: "" }, { Authorization: null }, { headers: "none" }]) {
    await using socket = await RawSocket.connect(app, payload);
    assert.deepEqual(await socket.ask("{ viewer { id } }"), { data: { viewer: null } });
    const { data } = await socket.ask("{ publicRooms { nodes { id } } }");
    assert.deepEqual(data.publicRooms.nodes, [{ id: room.id }]);
    const query = "subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { cursor } }";
    assert.deepEqual(codesOf(await socket.ask(query, { roomId: room.id })), [["UNAUTHENTICATED"]]);
  }
});
