/** Who is there, as others see it while nodes die and tabs are reloaded. */
import type { Person } from "../support/app.ts";
import { Chat } from "./chat.ts";
import { FOLLOW } from "./journals.ts";
import { LiveClient } from "./live_client.ts";
import type { Node } from "./nodes.ts";
import { becomes, pause } from "./system.ts";
import { count, type Row, seconds, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

export const PRESENCE_ROWS: readonly Row[] = [
  {
    name: "presence-node-killed",
    promise: "Who was on a dead node is offline within 20 s, each told once; a reload is no flap",
    deed: "500 users on a node (50 with three tabs, 20 also on the other node), 50 reload, then kill -9",
    run: watchNodeDie,
  },
];

const USERS = 500;
const WITH_TABS = 50;
const ELSEWHERE_TOO = 20;
const RELOADING = 50;
const OFFLINE_MS_MAX = 20_000;

interface Seen {
  readonly userId: string;
  readonly status: string;
  readonly atMs: number;
}

async function watchNodeDie(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  const problems: string[] = [];
  using chat = await Chat.open(world, { people: USERS + 1 });
  const seen: Seen[] = [];
  const users = chat.people.slice(1);
  using watcher = watch(world, { chat, on: b, as: chat.person(0), seen });
  await becomes(() => watcher.connectedAtMs.length > 0, { withinMs: 5_000 });
  await pause(1_000); // the stream says nothing when it begins
  using tabs = new DisposableStack();
  const open = (person: Person, on: Node) => tabs.use(sit(world, { chat, on, person }));
  const first = users.map((person) => open(person, a));
  for (const person of users.slice(0, WITH_TABS)) for (let tab = 1; tab < 3; tab++) open(person, a);
  const staying = users.slice(-ELSEWHERE_TOO);
  for (const person of staying) open(person, b);
  const onlineMs = performance.now();
  const countSeen = () => new Set(seen.map(({ userId }) => userId)).size;
  await becomes(() => countSeen() >= USERS, { withinMs: 20_000 });
  if (countSeen() < USERS) problems.push(`${USERS - countSeen()} never shown online`);
  const arrived = `${countSeen()} shown online within ${seconds((seen.at(-1)?.atMs ?? 0) - onlineMs)}`;
  await pause(2_000);
  const told = seen.splice(0).length;
  if (told !== USERS) problems.push(`${told} updates for ${USERS} who came`);

  for (const client of first.slice(WITH_TABS, WITH_TABS + RELOADING)) {
    client.reload({ afterMs: 200 + world.random() * 700 });
  }
  await pause(8_000);
  const flaps = seen.splice(0).length;
  if (flaps > 0) problems.push(`${flaps} updates for ${RELOADING} reloads`);

  const killMs = performance.now();
  await a.kill();
  const leaving = new Set(users.slice(0, USERS - ELSEWHERE_TOO).map(({ id }) => id));
  const offline = () => seen.filter(({ status }) => status === "OFFLINE");
  await becomes(() => new Set(offline().map(({ userId }) => userId)).size >= leaving.size, { withinMs: 25_000 });
  await pause(2_000); // a second word about somebody would come now
  const lastMs = Math.max(0, ...offline().map(({ atMs }) => atMs - killMs));
  const gone = new Set(offline().map(({ userId }) => userId));
  const missing = [...leaving].filter((id) => !gone.has(id)).length;
  const wrongly = staying.filter(({ id }) => gone.has(id)).length;
  const again = seen.length - gone.size;
  if (missing > 0) problems.push(`${missing} never shown offline`);
  if (wrongly > 0) problems.push(`${wrongly} shown offline who were on the other node`);
  if (again > 0) problems.push(`${again} updates too many`);
  if (lastMs > OFFLINE_MS_MAX) problems.push(`the last one offline after ${seconds(lastMs)}`);
  return {
    problems,
    figures: [
      arrived,
      `${count(RELOADING)} reloads, ${flaps} flaps`,
      `${count(gone.size)} offline, the last after ${seconds(lastMs)}`,
    ],
  };
}

interface Seat {
  readonly chat: Chat;
  readonly on: Node;
}

function watch(
  world: World,
  { chat, on, as, seen }: Seat & { readonly as: Person; readonly seen: Seen[] },
): LiveClient {
  return new LiveClient({
    wires: [on.wire],
    token: as.token,
    random: world.random,
    operation: () => ({
      query: `subscription ($target: PresenceTarget!) { presence(target: $target) { user { id presenceStatus } } }`,
      variables: { target: { roomId: chat.room.id } },
    }),
    onNext({ user }) {
      if (user.id !== as.id) seen.push({ userId: user.id, status: user.presenceStatus, atMs: performance.now() });
    },
  });
}

/** Somebody who follows the room on this node and on no other. */
function sit({ random }: World, { chat, on, person }: Seat & { readonly person: Person }): LiveClient {
  return new LiveClient({
    wires: [on.wire],
    token: person.token,
    random,
    operation: () => ({ query: FOLLOW, variables: { roomId: chat.room.id } }),
    onNext: () => {},
  });
}
