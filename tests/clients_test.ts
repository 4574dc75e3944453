/** The clients that apps really use, unmodified and set up as the README says: `graphql-ws` and urql. */
import { strict as assert } from "node:assert";
import { cacheExchange, Client as UrqlClient, fetchExchange, subscriptionExchange } from "@urql/core";
import { type Client, createClient } from "graphql-ws";
import { type Any, startApp } from "./support/app.ts";
import { Arrivals, type ChatClient, chatWith, type FollowVariables, type Setup } from "./support/chats.ts";
import { ROOM_EVENTS } from "./support/follow.ts";
import { resuming } from "./support/resuming.ts";
import { logIn } from "./support/sessions.ts";

Deno.test("graphql-ws: a whole chat over one socket, which may break at any time", async () => {
  await chatWith((setup) => {
    const socket = openSocket(setup);
    const subscribe = (query: string, variables: object, onData: (data: Any) => void, onEnd = () => {}) =>
      socket.subscribe({ query, variables: { ...variables } }, {
        next: ({ data, errors }) => errors ? assert.fail(JSON.stringify(errors)) : onData(data),
        error: (error) => assert.fail(JSON.stringify(error)),
        complete: onEnd,
      });
    return {
      run: (query, variables) =>
        new Promise((resolve) => {
          let answer: Any;
          subscribe(query, variables, (data) => answer = data, () => resolve(answer));
        }),
      follow: subscribe,
      [Symbol.asyncDispose]: async () => await socket.dispose(),
    };
  });
});

Deno.test("urql: a whole chat over HTTP and a socket, which may break at any time", async () => {
  await chatWith((setup) => {
    const socket = openSocket(setup);
    const client = new UrqlClient({
      url: setup.url,
      fetchOptions: () => ({ headers: headersOf(setup) }),
      exchanges: [
        cacheExchange,
        fetchExchange,
        subscriptionExchange({
          forwardSubscription: ({ query = "", variables }) => ({
            subscribe: (sink: Any) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
          }),
        }),
      ],
    });
    return {
      ...urqlChat(client),
      follow: (document, variables, onData) =>
        client.subscription(document, variables).subscribe(({ data, error, hasNext }) => {
          assert.equal(error, undefined);
          if (hasNext) onData(data);
        }).unsubscribe,
      [Symbol.asyncDispose]: async () => await socket.dispose(),
    };
  });
});

Deno.test("urql: a whole chat over HTTP alone, with streams of Server-Sent Events that may break at any time", async () => {
  await chatWith((setup) => {
    const client = new UrqlClient({
      url: setup.url,
      fetchSubscriptions: true,
      fetchOptions: () => ({ headers: headersOf(setup) }),
      exchanges: [cacheExchange, fetchExchange],
    });
    return {
      ...urqlChat(client),
      follow: (document, variables, onData) => followEventStream(client, { document, variables, onData }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  });
});

Deno.test("graphql-ws: a client whose session has ended signs in again and goes on where it was", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice, bob);
  let device = alice;
  const socket = resuming(createClient({
    url: app.socketUrl,
    connectionParams: async () => {
      device = await logIn(app, alice);
      return { authorization: `Bearer ${device.token}` };
    },
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: () => Promise.resolve(),
  }));
  const closeCodes: Any[] = [];
  socket.on("closed", (event) => closeCodes.push((event as CloseEvent).code));
  const arrivals = new Arrivals();
  const stop = socket.subscribe<Any>({ query: ROOM_EVENTS, variables: { roomId: room.id, after: room.cursor } }, {
    next: ({ data }) => arrivals.add(data.roomEvents),
    error: (error) => assert.fail(JSON.stringify(error)),
    complete: () => {},
  });
  await app.send(bob, room, "before");
  await arrivals.until(1);
  await app.run(`mutation { logout { errors { code } } }`, {}, device);
  await app.send(bob, room, "after");
  await arrivals.until(2);
  assert.deepEqual(closeCodes, [4403]);
  assert.deepEqual(arrivals.events.map(({ message }) => message.content), ["before", "after"]);
  stop();
});

/** A socket as the README sets it up, except that it does not wait before a retry. */
function openSocket({ socketUrl, token }: Setup): Client {
  return resuming(createClient({
    url: socketUrl,
    connectionParams: () => headersOf({ token }),
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: () => Promise.resolve(),
  }));
}

function urqlChat(client: UrqlClient): Pick<ChatClient, "run"> {
  return {
    async run(document, variables) {
      const isMutation = document.startsWith("mutation");
      const { data, error } =
        await (isMutation ? client.mutation(document, variables) : client.query(document, variables));
      assert.equal(error, undefined);
      return data;
    },
  };
}

interface EventStreamRequest {
  readonly document: string;
  readonly variables: FollowVariables;
  readonly onData: (data: Any) => void;
}

/** Follows a room over Server-Sent Events. A stream that breaks off begins again behind the last batch. */
function followEventStream(client: UrqlClient, { document, variables, onData }: EventStreamRequest): () => void {
  let { after } = variables;
  let stop = () => {};
  const follow = () => {
    const stream = client.subscription(document, { ...variables, after }).subscribe(({ data, error, hasNext }) => {
      if (error) {
        stop = restartSoon(follow);
      } else if (hasNext) {
        after = data.roomEvents.cursor;
        onData(data);
      }
    });
    stop = stream.unsubscribe;
  };
  follow();
  return () => stop();
}

function restartSoon(follow: () => void): () => void {
  const timer = setTimeout(follow, 0);
  return () => clearTimeout(timer);
}

function headersOf({ token }: Pick<Setup, "token">): Record<string, string> {
  return token() === "" ? {} : { authorization: `Bearer ${token()}` };
}
