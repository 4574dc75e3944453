/** Files sent by the clients that apps really use, unmodified and set up as the README says. */
import { strict as assert } from "node:assert";
import { ApolloClient, InMemoryCache } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { cacheExchange, Client as UrqlClient, fetchExchange } from "@urql/core";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
import { parse } from "graphql";
import type { Any } from "./support/app.ts";
import { shareWith } from "./support/sharing.ts";

Deno.test("Apollo: files with apollo-upload-client, and a large one over a connection that breaks", async () => {
  await shareWith(({ url, token }) => {
    const headers = () => ({ headers: { authorization: `Bearer ${token()}` } });
    const client = new ApolloClient({
      cache: new InMemoryCache(),
      link: new SetContextLink(headers).concat(new UploadHttpLink({ uri: url })),
    });
    return {
      async run(document, variables) {
        const { data, error } = await client.mutate<Any>({ mutation: parse(document), variables });
        assert.equal(error, undefined);
        return data;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(client.stop()),
    };
  });
});

Deno.test("urql: files with its fetchExchange alone, and a large one over a connection that breaks", async () => {
  await shareWith(({ url, token }) => {
    const client = new UrqlClient({
      url,
      fetchOptions: () => ({ headers: { authorization: `Bearer ${token()}` } }),
      exchanges: [cacheExchange, fetchExchange],
    });
    return {
      async run(document, variables) {
        const { data, error } = await client.mutation<Any>(document, variables);
        assert.equal(error, undefined);
        return data;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  });
});
