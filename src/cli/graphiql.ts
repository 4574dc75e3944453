/** What GraphiQL opens with in the demo: tabs that run when clicked, signed in as Alice. */
import type { GraphiQLOptions } from "graphql-yoga";
import type { App } from "../app.ts";
import { signAccessToken } from "../auth/tokens.ts";
import { encodeId } from "../lib/ids.ts";
import { findRoomBySlug } from "../rooms/rooms.ts";
import { DEMO_ROOM_SLUG, signInDemo } from "./demo.ts";

/** Makes one session; every page gets a fresh access token of it. */
export async function demoTabs(app: App): Promise<() => Promise<GraphiQLOptions>> {
  const { viewer } = await signInDemo(app, "alice");
  const room = await findRoomBySlug(app, viewer, DEMO_ROOM_SLUG);
  const roomId = room ? encodeId("room", room.id) : "";
  return async () => {
    const { accessToken } = await signAccessToken(app, viewer);
    const headers = JSON.stringify({ Authorization: `Bearer ${accessToken}` }, null, 2);
    const tab = (query: string, variables: object = {}) => ({
      query,
      headers,
      variables: JSON.stringify(variables, null, 2),
    });
    return {
      title: "Parley",
      subscriptionsProtocol: "WS",
      defaultHeaders: headers,
      headers,
      shouldPersistHeaders: false,
      defaultTabs: [
        tab(ROOM, { slug: DEMO_ROOM_SLUG }),
        tab(FOLLOW, { roomId }),
        tab(SEND, { input: { roomId, content: "Hello from GraphiQL" } }),
        tab(VIEWER),
      ],
    };
  };
}

const ROOM = `# A room with its newest messages. \`eventCursor\` is where to follow it from.
query Room($slug: String!) {
  roomBySlug(slug: $slug) {
    id
    title
    topic
    memberCount
    eventCursor
    messages(last: 20) {
      nodes {
        id
        content
        createdAt
        author {
          displayName
        }
      }
      pageInfo {
        hasPreviousPage
        startCursor
      }
    }
  }
}
`;

const FOLLOW = `# Follows the room. Run it, then send from the next tab.
subscription Follow($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) {
    cursor
    events {
      __typename
      cursor
      ... on MessageSentEvent {
        message {
          id
          content
          author {
            displayName
          }
        }
      }
      ... on MemberJoinedEvent {
        member {
          user {
            displayName
          }
        }
      }
    }
  }
}
`;

const SEND = `# Sends a message. Add a \`clientMessageId\` and it is safe to retry.
mutation Send($input: SendMessageInput!) {
  sendMessage(input: $input) {
    message {
      id
      content
      createdAt
    }
    errors {
      code
      message
      path
    }
  }
}
`;

const VIEWER = `# Who is signed in, and where.
query Viewer {
  viewer {
    email
    user {
      id
      username
      displayName
    }
    rooms {
      nodes {
        id
        title
        lastMessage {
          content
        }
      }
    }
    sessions {
      clientName
      isCurrent
      lastUsedAt
    }
  }
}
`;
