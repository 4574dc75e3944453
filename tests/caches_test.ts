/** The normalized caches of urql and Apollo follow the streams: what a screen shows changes by id, without asking again. */
import { strict as assert } from "node:assert";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { Client as UrqlClient, fetchExchange, subscriptionExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { introspectionFromSchema, OperationTypeNode, parse } from "graphql";
import { createClient } from "graphql-ws";
import { schema } from "../schema/schema.ts";
import { type Any, type Api, type Person, startApp } from "./support/app.ts";
import { inTime } from "./support/eventually.ts";
import { done } from "./support/mutations.ts";
import { operation } from "./support/operations.ts";

/** A client library with its cache, as an app would set it up. */
interface CachedClient extends AsyncDisposable {
  /** Shows the result of the query, and calls `onChange` with what is on the screen whenever that changes. */
  show(document: string, variables: object, onChange: (data: Any) => void): void;
  follow(document: string, variables: object): void;
  /** Requests that the library has sent over HTTP. */
  requests(): number;
}

const CLIENTS: Readonly<Record<string, (app: Api, as: Person) => CachedClient>> = {
  urql: openUrql,
  Apollo: openApollo,
};

for (const [name, open] of Object.entries(CLIENTS)) {
  Deno.test(`${name}: an edit, a deletion, a reaction, a pin and a read mark reach the screen by id alone`, async () => {
    await using app = await startApp();
    const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
    const room = await app.makeRoom(alice, bob);
    const [first, second, third] = [
      await app.send(bob, room, "to be edited"),
      await app.send(bob, room, "to be deleted"),
      await app.send(bob, room, "to be liked"),
    ];
    const { room: { eventCursor: after } } = await app.run(`query ($id: ID!) { room(id: $id) { eventCursor } }`, {
      id: room.id,
    }, alice);

    await using client = open(app, alice);
    const screen = new Screen();
    client.show(operation("RoomScreen"), { id: room.id }, (data) => screen.set(data));
    await screen.until(({ messages }) => messages.edges.length === 3);
    const asked = client.requests();
    client.follow(operation("RoomEvents"), { roomId: room.id, after });

    const message = (room: Any, { id }: { id: string }) =>
      room.messages.edges.find(({ node }: Any) => node.id === id).node;
    await done(app, "editMessage", { messageId: first.id, content: "edited" }, bob);
    await screen.until((room) => message(room, first).content === "edited" && message(room, first).editedAt !== null);
    await done(app, "deleteMessage", { messageId: second.id }, bob);
    await screen.until((room) => message(room, second).content === null && message(room, second).deletedAt !== null);
    for (const person of [alice, bob]) await done(app, "addReaction", { messageId: third.id, emoji: "👍" }, person);
    await screen.until((room) => message(room, third).reactionGroups[0]?.count === 2);
    assert.deepEqual(message(screen.room, third).reactionGroups, [
      { ...message(screen.room, third).reactionGroups[0], emoji: "👍", count: 2, viewerHasReacted: true },
    ]);
    await done(app, "removeReaction", { messageId: third.id, emoji: "👍" }, alice);
    await screen.until((room) => message(room, third).reactionGroups[0]?.viewerHasReacted === false);
    await done(app, "pinMessage", { messageId: third.id }, alice);
    await screen.until((room) => message(room, third).pinnedAt !== null);
    await done(app, "updateRoom", { roomId: room.id, topic: "All is live" }, alice);
    await screen.until(({ topic }) => topic === "All is live");
    // On another device of the same person.
    await done(app, "markRoomRead", { roomId: room.id, messageId: third.id }, alice);
    await screen.until(({ viewerMembership }) => viewerMembership.lastReadMessage?.id === third.id);
    assert.equal(client.requests(), asked, "nothing was asked again");
  });
}

/** What is shown, and waiting for it to become what it should be. */
class Screen {
  room: Any = null;
  #change = Promise.withResolvers<void>();

  set({ room }: Any): void {
    this.room = room;
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers();
    resolve();
  }

  async until(isThere: (room: Any) => boolean): Promise<void> {
    while (this.room === null || !isThere(this.room)) {
      await inTime(`the screen, which is now ${JSON.stringify(this.room)}`, this.#change.promise);
    }
  }
}

function countingFetch(): { readonly fetch: typeof fetch; readonly count: () => number } {
  let count = 0;
  const counting: typeof fetch = (...args) => {
    count++;
    return fetch(...args);
  };
  return { fetch: counting, count: () => count };
}

function openSocket(app: Api, as: Person) {
  return createClient({
    url: app.socketUrl,
    connectionParams: { authorization: `Bearer ${as.token}` },
    retryAttempts: 0,
  });
}

function openUrql(app: Api, as: Person): CachedClient {
  const socket = openSocket(app, as);
  const http = countingFetch();
  const stops: (() => void)[] = [];
  const withoutKey = () => null;
  const client = new UrqlClient({
    url: app.url,
    fetch: http.fetch,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${as.token}` } },
    exchanges: [
      cacheExchange({
        schema: introspectionFromSchema(schema) as Any,
        keys: { Image: withoutKey, ReactionGroup: withoutKey, RoomEventBatch: withoutKey, ServerLimits: withoutKey },
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink: Any) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
  return {
    show(document, variables, onChange) {
      const { unsubscribe } = client.query(document, variables).subscribe(({ data, error }) => {
        assert.equal(error, undefined);
        onChange(data);
      });
      stops.push(unsubscribe);
    },
    follow(document, variables) {
      const { unsubscribe } = client.subscription(document, variables).subscribe(({ error }) =>
        assert.equal(error, undefined)
      );
      stops.push(unsubscribe);
    },
    requests: http.count,
    async [Symbol.asyncDispose]() {
      for (const stop of stops) stop();
      await socket.dispose();
    },
  };
}

function openApollo(app: Api, as: Person): CachedClient {
  const socket = openSocket(app, as);
  const http = countingFetch();
  const stops: (() => void)[] = [];
  const client = new ApolloClient({
    cache: new InMemoryCache({
      typePolicies: { Room: { fields: { messages: relayStylePagination(["around"]) } } },
    }),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: app.url, fetch: http.fetch, headers: { authorization: `Bearer ${as.token}` } }),
    ),
  });
  return {
    show(document, variables, onChange) {
      const watched = client.watchQuery<Any>({ query: parse(document), variables: { ...variables } });
      const subscription = watched.subscribe(({ data, error }) => {
        assert.equal(error, undefined);
        if (data) onChange(data);
      });
      stops.push(() => subscription.unsubscribe());
    },
    follow(document, variables) {
      const subscription = client.subscribe<Any>({ query: parse(document), variables: { ...variables } }).subscribe({
        next: ({ error }) => assert.equal(error, undefined),
        error: (error) => assert.fail(error.message),
      });
      stops.push(() => subscription.unsubscribe());
    },
    requests: http.count,
    async [Symbol.asyncDispose]() {
      for (const stop of stops) stop();
      client.stop();
      await socket.dispose();
    },
  };
}
