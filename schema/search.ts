/** Finding messages and people. */
import { type Context, requireViewer } from "../src/context.ts";
import { findId, findOptionalId } from "../src/lib/ids.ts";
import { parsePage } from "../src/lib/pages.ts";
import { type Hit, searchMessages } from "../src/messages/search.ts";
import type { Member } from "../src/rooms/members.ts";
import { searchUsers } from "../src/rooms/people.ts";
import { builder, pageArgs, pageComplexity } from "./builder.ts";
import { Message } from "./messages.ts";
import { MediaKind } from "./attachments.ts";
import { UserPages } from "./users.ts";

/** A snippet weighs as much as so many small fields: an answer is bounded in bytes too. */
const SNIPPET_COMPLEXITY = 5;

const MessageSearchEdge = builder.edgeObject({
  type: Message,
  name: "MessageSearchEdge",
  description: "A search hit.",
  nodeField: { description: "The message." },
});

builder.objectField(MessageSearchEdge, "snippet", (t) =>
  t.string({
    description:
      "Plain-text excerpt; the matches are between U+E000 and U+E001, so it is safe to escape and then highlight.",
    complexity: SNIPPET_COMPLEXITY,
    resolve: ({ node }) => (node as Hit).snippet, // what `searchMessages` returns
  }));

const MessageSearchConnection = builder.connectionObject({
  type: Message,
  name: "MessageSearchConnection",
  description: "A page of search hits.",
}, MessageSearchEdge);

const MessageSearchFilter = builder.inputType("MessageSearchFilter", {
  description: "Filter of `searchMessages`.",
  fields: (t) => ({
    roomIds: t.idList({ description: "Only in these rooms; default all rooms of the viewer." }),
    authorIds: t.idList({ description: "Only by these authors." }),
    mediaKinds: t.field({ type: [MediaKind], description: "Only with attachments of these kinds." }),
    createdFrom: t.field({ type: "DateTime", description: "Only written at or after." }),
    createdBefore: t.field({ type: "DateTime", description: "Only written before." }),
  }),
});

builder.queryFields((t) => ({
  searchUsers: t.field({
    type: UserPages.connection,
    nullable: true,
    description: "Finds users by handle or name prefix, for invites and mentions.",
    args: {
      query: t.arg.string({ required: true, description: "Prefix of handle or name." }),
      roomId: t.arg.id({ description: "Only members of this room, for mentions." }),
      ...pageArgs(10),
    },
    complexity: pageComplexity,
    resolve: (_root, { query, roomId, ...page }, ctx) =>
      withinRoom(ctx, roomId, (member) => searchUsers(ctx.app, { query, member, page: parsePage(page) })),
  }),
  searchMessages: t.field({
    type: MessageSearchConnection,
    nullable: true,
    description: "Full-text search in the viewer's rooms, best match first.",
    args: {
      query: t.arg.string({
        required: true,
        description: 'Words, "phrases", `or`, and `-not` (Postgres `websearch_to_tsquery`).',
      }),
      filter: t.arg({ type: MessageSearchFilter, description: "Narrows the search." }),
      ...pageArgs(20),
    },
    complexity: pageComplexity,
    resolve: (_root, { query, filter, ...page }, ctx) =>
      searchMessages(ctx.app, requireViewer(ctx), {
        query,
        filter: {
          ...filter,
          roomIds: filter?.roomIds?.map((id) => findId("room", id)),
          authorIds: filter?.authorIds?.map((id) => findId("user", id)),
        },
        page: parsePage(page),
      }),
  }),
}));

/** With the viewer's key to the room, with none where no room is asked for; `null` for those who are not in it. */
async function withinRoom<T>(
  ctx: Context,
  id: string | null | undefined,
  find: (member: Member | null) => Promise<T>,
): Promise<T | null> {
  requireViewer(ctx);
  const roomId = findOptionalId("room", id);
  if (roomId === undefined) return await find(null);
  const member = roomId === null ? null : await ctx.memberOf(roomId);
  return member && await find(member);
}
