/** Apollo Client, unmodified and set up as the README says. */
import { strict as assert } from "node:assert";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { SetContextLink } from "@apollo/client/link/context";
import { relayStylePagination } from "@apollo/client/utilities";
import { OperationTypeNode, parse } from "graphql";
import { createClient } from "graphql-ws";
import { type Any, startApp } from "./support/app.ts";
import { chatWith, type Setup } from "./support/chats.ts";
import { resuming } from "./support/resuming.ts";

Deno.test("Apollo: a whole chat over HTTP and a socket, which may break at any time", async () => {
  await chatWith((setup) => {
    const client = openClient(setup);
    return {
      async run(document, variables) {
        const source = parse(document);
        const { data, error } = document.startsWith("mutation")
          ? await client.mutate<Any>({ mutation: source, variables })
          : await client.query<Any>({ query: source, variables, fetchPolicy: "no-cache" });
        assert.equal(error, undefined);
        return data;
      },
      follow(document, variables, onData) {
        const subscription = client.subscribe<Any>({ query: parse(document), variables: { ...variables } }).subscribe({
          next: ({ data, error }) => error ? assert.fail(error.message) : onData(data),
          error: (error) => assert.fail(error.message),
        });
        return () => subscription.unsubscribe();
      },
      [Symbol.asyncDispose]: () => Promise.resolve(client.stop()),
    };
  });
});

Deno.test("Apollo: a list that was paged back to its beginning holds every message once, in order", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const contents = Array.from({ length: 10 }, (_, index) => `message ${index}`);
  for (const content of contents) await app.send(alice, room, content);

  const client = openClient({ url: app.url, socketUrl: app.socketUrl, token: () => alice.token });
  const request = { query: parse(HISTORY), variables: { id: room.id } };
  await client.query<Any>(request);
  const screen = client.watchQuery<Any>(request);
  const watching = screen.subscribe(() => {});
  const list = () => client.readQuery<Any>(request).room.messages; // what the cache holds is what the screen shows
  while (list().pageInfo.hasPreviousPage) {
    await screen.fetchMore({ variables: { before: list().pageInfo.startCursor } });
  }
  assert.deepEqual(list().edges.map(({ node }: Any) => node.content), contents);
  assert.equal(list().pageInfo.hasNextPage, false);
  watching.unsubscribe();
  client.stop();
});

const HISTORY = `query ($id: ID!, $before: String) {
  room(id: $id) {
    id
    messages(last: 3, before: $before) {
      edges { cursor node { id content } }
      pageInfo { hasPreviousPage hasNextPage startCursor endCursor }
    }
  }
}`;

function openClient({ url, socketUrl, token }: Setup): ApolloClient {
  const headers = () => token() === "" ? {} : { authorization: `Bearer ${token()}` };
  const socket = resuming(createClient({
    url: socketUrl,
    connectionParams: headers,
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: () => Promise.resolve(),
  }));
  const http = new SetContextLink(() => ({ headers: headers() })).concat(new HttpLink({ uri: url }));
  return new ApolloClient({
    cache: new InMemoryCache({
      typePolicies: { Room: { fields: { messages: relayStylePagination(["around"]) } } },
    }),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      http,
    ),
  });
}
