/** A chat of the usual kind, written as tutorials do: GraphQL Yoga, `createPubSub` over Redis, graphql-ws, messages in a
 * table. It answers the operations of the harness, so that the same rows judge it. Not a caricature: it stores before it
 * answers, knows a repeated `clientMessageId`, and checks membership, at the time of subscribing. */
import process from "node:process";
import { createRedisEventTarget } from "@graphql-yoga/redis-event-target";
import { GraphQLError } from "graphql";
import { makeServer } from "graphql-ws";
import { createPubSub, createSchema, createYoga, Repeater } from "graphql-yoga";
import { Redis } from "ioredis";
import { jwtVerify } from "jose";
import postgres from "postgres";
import { findId } from "../../src/lib/ids.ts";
import { naiveMessageId } from "./naive_ids.ts";

const env = process.env as Record<"DATABASE_URL" | "REDIS_URL" | "REDIS_PREFIX" | "JWT_SECRET", string>;
const sql = postgres(env.DATABASE_URL);
const secret = new TextEncoder().encode(env.JWT_SECRET);

interface Message {
  readonly id: number;
  readonly content: string;
}

const eventTarget = createRedisEventTarget({
  publishClient: new Redis(env.REDIS_URL),
  subscribeClient: new Redis(env.REDIS_URL),
});
const pubSub = createPubSub<{ [room: `naive:${string}`]: [message: Message] }>({ eventTarget });
const topicOf = (roomId: string) => `naive:${env.REDIS_PREFIX}:${roomId}` as const;

interface Context {
  readonly userId: string;
}

async function identify(authorization: string | null | undefined): Promise<Context> {
  const { payload } = await jwtVerify((authorization ?? "").replace("Bearer ", ""), secret);
  return { userId: payload.sub ?? "" };
}

async function requireMember(roomId: string, { userId }: Context): Promise<void> {
  const members = await sql`select from members where room_id = ${roomId} and user_id = ${userId}`;
  if (members.length === 0) throw new GraphQLError("Not a member", { extensions: { code: "NOT_A_MEMBER" } });
}

const schema = createSchema<Context>({
  typeDefs: `
    type Query { viewer: Boolean }
    type Mutation {
      sendMessage(input: SendMessageInput!): SendMessagePayload!
      kickMember(input: KickMemberInput!): KickMemberPayload!
    }
    type Subscription { roomEvents(roomId: ID!, after: String): RoomEventBatch! }
    input SendMessageInput { roomId: ID! content: String clientMessageId: String }
    type SendMessagePayload { message: Message errors: [UserError!]! }
    input KickMemberInput { roomId: ID! userId: ID! }
    type KickMemberPayload { errors: [UserError!]! }
    interface UserError { code: String! message: String! path: [String!] }
    type InvalidInputError implements UserError { code: String! message: String! path: [String!] limit: Int }
    type Message { id: ID! content: String }
    type RoomEventBatch { cursor: String! events: [RoomEvent!]! }
    interface RoomEvent { cursor: String! }
    type MessageSentEvent implements RoomEvent { cursor: String! message: Message! }
  `,
  resolvers: {
    Mutation: {
      async sendMessage(_root, { input }, context) {
        const roomId = findId("room", input.roomId) ?? "";
        await requireMember(roomId, context);
        const [message] = await sql<Message[]>`
          insert into naive_messages (room_id, author_id, client_message_id, content)
          values (${roomId}, ${context.userId}, ${input.clientMessageId}, ${input.content})
          on conflict (client_message_id) do update set content = excluded.content
          returning id::int, content`;
        if (message) pubSub.publish(topicOf(roomId), message);
        return { message, errors: [] };
      },
      async kickMember(_root, { input }) {
        await sql`
          delete from members
          where room_id = ${findId("room", input.roomId)} and user_id = ${findId("user", input.userId)}`;
        return { errors: [] };
      },
    },
    Subscription: {
      roomEvents: {
        // A first result at once, by the recipe of the documentation.
        async subscribe(_root, { roomId }, context) {
          const id = findId("room", roomId) ?? "";
          await requireMember(id, context);
          return Repeater.merge([null, pubSub.subscribe(topicOf(id))]);
        },
        resolve(message: Message | null, { after }: { after?: string }) {
          if (message === null) return { cursor: after ?? "naive.0", events: [] };
          const cursor = `naive.${message.id}`;
          return { cursor, events: [{ __typename: "MessageSentEvent", cursor, message }] };
        },
      },
    },
    Message: { id: ({ id }: Message) => naiveMessageId(id) },
  },
});

const yoga = createYoga<object, Context>({
  schema,
  context: ({ request }) => identify(request.headers.get("authorization")),
  logging: false,
});
const sockets = makeServer<{ token?: string }>({
  schema,
  context: ({ connectionParams }) => identify(connectionParams?.token),
});

function upgrade(request: Request): Response {
  const { socket, response } = Deno.upgradeWebSocket(request, { protocol: "graphql-transport-ws" });
  let closed: ((code: number, reason: string) => Promise<void>) | undefined;
  socket.onopen = () => {
    closed = sockets.opened({
      protocol: "graphql-transport-ws",
      send: (text) => Promise.resolve(socket.send(text)),
      close: (code, reason) => socket.close(code, reason),
      onMessage: (listener) => socket.onmessage = ({ data }) => listener(data),
    }, {});
  };
  socket.onclose = ({ code, reason }) => closed?.(code, reason);
  return response;
}

const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
  if (request.headers.get("upgrade") === "websocket") return upgrade(request);
  const { pathname } = new URL(request.url);
  if (pathname === "/readyz") return new Response();
  if (pathname === "/metrics") return new Response(`process_resident_memory_bytes ${Deno.memoryUsage().rss}\n`);
  return yoga.fetch(request, {});
});
process.stderr.write(`${JSON.stringify({ message: "Listening", port: server.addr.port })}\n`);
