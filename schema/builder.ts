/** The Pothos builder and the few forms that all types share: nodes, pages, fields that depend on the viewer. */
import SchemaBuilder, { type ObjectRef } from "@pothos/core";
import ComplexityPlugin from "@pothos/plugin-complexity";
import DataloaderPlugin from "@pothos/plugin-dataloader";
import RelayPlugin from "@pothos/plugin-relay";
import type { GraphQLResolveInfo } from "graphql";
import { GraphQLDateTimeISO, GraphQLEmailAddress, GraphQLURL } from "graphql-scalars";
import type { App } from "../src/app.ts";
import type { Context } from "../src/context.ts";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, type PageArgs } from "../src/lib/pages.ts";
import type { Reader } from "../src/rooms/relations.ts";
import type { IncomingFile } from "../src/uploads/receiving.ts";

interface UserTypes {
  Context: Context;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: false;
  DefaultNodeNullability: false;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    EmailAddress: { Input: string; Output: string };
    URL: { Input: string; Output: string };
    Upload: { Input: IncomingFile; Output: never };
  };
}

/** The types of our builder, for helpers that are handed a part of it. */
export type SchemaTypes = PothosSchemaTypes.ExtendDefaultTypes<UserTypes>;

// A connection counts its page size once; the lists inside it must not multiply again.
const counted = { field: 1, multiplier: 1 };

export const builder = new SchemaBuilder<UserTypes>({
  plugins: [RelayPlugin, DataloaderPlugin, ComplexityPlugin],
  defaultFieldNullability: false,
  complexity: { defaultComplexity: 1, defaultListMultiplier: 10 },
  relay: {
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    idFieldOptions: {
      description:
        "Opaque, globally unique, stable, URL-safe id, e.g. `room_01jd3v5n0pf8ttwd9kzq0a3m6x`. Do not parse it.",
    },
    nodeTypeOptions: { description: "An object with a globally unique id." },
    pageInfoTypeOptions: {
      description: "Relay pagination state. All four fields are exact in both paging directions.",
    },
    hasNextPageFieldOptions: { description: "Whether there are edges after `endCursor`." },
    hasPreviousPageFieldOptions: { description: "Whether there are edges before `startCursor`." },
    startCursorFieldOptions: { description: "Cursor of the first edge, `null` on an empty page." },
    endCursorFieldOptions: { description: "Cursor of the last edge, `null` on an empty page." },
    cursorFieldOptions: { description: "Opaque position." },
    edgesFieldOptions: {
      description: "Edges of this page.",
      complexity: counted,
    },
    pageInfoFieldOptions: { description: "Pagination state." },
    nodeFieldOptions: { nullable: false },
    nodesOnConnection: { description: "Shortcut for `edges.node`.", complexity: counted },
  },
});

export const Node = builder.nodeInterfaceRef();

builder.addScalarType("DateTime", GraphQLDateTimeISO, {
  description: "An instant in UTC, RFC 3339 with milliseconds, e.g. `2026-11-21T09:30:00.000Z`.",
  specifiedByURL: "https://scalars.graphql.org/andimarek/date-time.html",
});
builder.addScalarType("EmailAddress", GraphQLEmailAddress, {
  description:
    "A valid e-mail address. Output only; inputs take `String` so that a typo is a form error, not a request error.",
  specifiedByURL: "https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address",
});
builder.addScalarType("URL", GraphQLURL, {
  description: "An absolute URL.",
  specifiedByURL: "https://url.spec.whatwg.org/",
});

builder.queryType({ description: "Read operations." });
builder.mutationType({
  description:
    "Write operations. Fields run one after the other; every result is nullable, so one failure does not hide the others.",
});
builder.subscriptionType({
  description:
    "Live operations, over WebSocket (`graphql-transport-ws`) or Server-Sent Events on the same URL. The event streams\n" +
    "replay everything after `after`, then go on live; without `after` they begin now. `roomTyping` and `presence` are\n" +
    "best effort: each value replaces the one before, and slow consumers may miss values in between.",
});

/** The edge and connection types of a node type: `pageTypes(Room, "Room", "room", "rooms")`. */
export function pageTypes<Shape>(
  node: ObjectRef<SchemaTypes, Shape>,
  name: string,
  one: string,
  many: string,
) {
  const edge = builder.edgeObject({
    type: node,
    name: `${name}Edge`,
    description: `${/^(?!user)[aeiou]/.test(one) ? "An" : "A"} ${one} in a list.`,
    nodeField: { description: `The ${one}.` },
  });
  const connection = builder.connectionObject({
    type: node,
    name: `${name}Connection`,
    description: `A page of ${many}.`,
  }, edge);
  return { edge, connection };
}

/** `first`, `after`, `last`, `before`. Pages have `first` rows unless the client says otherwise. */
export function pageArgs(first?: number) {
  const size = first === undefined ? {} : { defaultValue: first };
  return {
    first:
      builder.args((t) => ({ first: t.int({ ...size, description: `Rows from the start, up to ${PAGE_SIZE_MAX}.` }) }))
        .first,
    after: builder.args((t) => ({ after: t.string({ description: "Only rows after this cursor." }) })).after,
    last: builder.args((t) => ({
      last: t.int({ description: `Rows from the end, up to ${PAGE_SIZE_MAX}; instead of \`first\`.` }),
    })).last,
    before: builder.args((t) => ({ before: t.string({ description: "Only rows before this cursor." }) })).before,
  };
}

/** What a page costs: its size times what is selected of a row. A size above the limit is left to `parsePage` to refuse. */
export function pageComplexity(args: PageArgs): { field: number; multiplier: number } {
  const size = args.last ?? args.first ?? PAGE_SIZE_DEFAULT;
  return { field: 1, multiplier: Math.min(Math.max(1, size), PAGE_SIZE_MAX) };
}

/** Resolver of a field that depends on who asks: `fill` is pure and synchronous, so that a live batch that is executed
 * once for a whole group can still tell each member its own value. `about` names the room whose role `fill` looks at, and
 * the user whose relation to the reader it asks for. */
export function viewerSlot<Parent, Value>(
  placeholder: Value,
  fill: (parent: Parent, reader: Reader, app: App) => Value,
  about: (parent: Parent) => { readonly roomId?: string; readonly userId?: string } = () => ({}),
) {
  return (parent: Parent, _args: object, ctx: Context, { path }: GraphQLResolveInfo): Value | Promise<Value> =>
    ctx.fillSlot({ ...about(parent), path, placeholder, fill: (reader) => fill(parent, reader, ctx.app) });
}
