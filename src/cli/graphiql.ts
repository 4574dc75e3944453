/** What GraphiQL opens with in the demo: tabs that run when clicked, signed in as Alice. */
import type { GraphiQLOptions } from "graphql-yoga";
import type { App } from "../app.ts";
import { encodeId } from "../lib/ids.ts";
import { findRoomBySlug } from "../rooms/rooms.ts";
import { DEMO_ROOM_SLUG, signInDemo } from "./demo.ts";

/** Every page is a session of its own, so that signing out on one does not break the next. */
export async function demoTabs(app: App): Promise<() => Promise<GraphiQLOptions>> {
  const room = await findRoomBySlug(app, null, DEMO_ROOM_SLUG);
  const roomId = room ? encodeId("room", room.id) : "";
  return async () => {
    const { tokens: { accessToken } } = await signInDemo(app, "alice");
    return {
      title: "Parley",
      subscriptionsProtocol: "SSE", // over WebSocket, GraphiQL does not send headers
      // Not in the tabs: GraphiQL keeps those over a reload, when the token is long expired.
      additionalHeaders: { Authorization: `Bearer ${accessToken}` },
      defaultTabs: [ROOM, follow(roomId), send(roomId), VIEWER, NEWS, SEARCH].map((query) => ({ query })),
    };
  };
}

const ROOM = `# A room with its newest messages.
# \`eventCursor\` is where to follow it from.
query Room {
  roomBySlug(slug: "${DEMO_ROOM_SLUG}") {
    id
    title
    topic
    memberCount
    onlineMemberCount
    viewerPermissions
    eventCursor
    messages(last: 20) {
      nodes {
        id
        content
        createdAt
        author {
          displayName
        }
        replyCount
        reactionGroups {
          emoji
          count
          viewerHasReacted
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

const follow = (roomId: string) =>
  `# Follows the room. Run it, then send from another window.
# To resume, pass the last cursor as \`after\`.
subscription Follow {
  roomEvents(roomId: "${roomId}") {
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

const send = (roomId: string) =>
  `# Sends a message.
# Add a \`clientMessageId\` and it is safe to retry.
mutation Send {
  sendMessage(input: { roomId: "${roomId}", content: "Hello from GraphiQL" }) {
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
    unreadCount
    mentionCount
    unreadNotificationCount
    user {
      id
      username
      displayName
    }
    rooms {
      nodes {
        id
        kind
        title
        viewerUnreadCount
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

const NEWS = `# Everything that concerns the viewer, in all rooms.
# Run it, then write to Alice as somebody else.
subscription News {
  viewerEvents {
    cursor
    events {
      __typename
      cursor
      ... on RoomActivityEvent {
        room {
          title
          viewerUnreadCount
          lastMessage {
            content
          }
        }
      }
      ... on NotificationCreatedEvent {
        notification {
          kind
          actor {
            displayName
          }
        }
      }
    }
  }
}
`;

const SEARCH = `# Words in every script, "phrases", this or that, -not.
# A hit is between two marks, U+E000 and U+E001.
query Search {
  searchMessages(query: "missing or coffee") {
    edges {
      snippet
      node {
        id
        room {
          title
        }
        author {
          displayName
        }
      }
    }
  }
}
`;
