/** How soon nothing more comes to those who may no longer see it: done on one node, their streams on the other. */
import { done } from "../support/mutations.ts";
import { type Any, type Api, apiAt, type Person } from "../support/app.ts";
import { enlist } from "../support/crowds.ts";
import { tryPoll } from "../support/polls.ts";
import type { Wire } from "../support/wires.ts";
import { Chat } from "./chat.ts";
import { EventStreamFollower, type Follower, SocketFollower } from "./followers.ts";
import { pause } from "./system.ts";
import { milliseconds, type Row, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

export const REMOVAL_ROWS: readonly Row[] = [
  {
    name: "removed",
    promise: "Removed means gone: nothing later than 1 s",
    deed: "leave, kick, ban, logout, password change and suspension on one node, the streams on the other",
    run: (world) => removeEverybody(world, { withinMs: 1_000 }),
  },
  {
    name: "removed-without-redis",
    promise: "Removed means gone: nothing later than 5 s without Redis",
    deed: "the same while Redis is stopped",
    harms: ["redis"],
    async run(world) {
      await world.redis.control?.stop();
      await pause(3_000); // the nodes notice
      return await removeEverybody(world, { withinMs: 5_000 });
    },
  },
];

interface Removal {
  readonly how: string;
  /** Whether the session ends, and not only the membership. */
  readonly endsSession: boolean;
  act(
    api: Api,
    victim: Person,
    by: { readonly owner: Person; readonly admin: Person; readonly roomId: string },
  ): Promise<Any>;
}

const REMOVALS: readonly Removal[] = [
  {
    how: "leave",
    endsSession: false,
    act: (api, victim, { roomId }) => done(api, "leaveRoom", { roomId }, victim),
  },
  {
    how: "kick",
    endsSession: false,
    act: (api, { id: userId }, { owner, roomId }) => done(api, "kickMember", { roomId, userId }, owner),
  },
  {
    how: "ban",
    endsSession: false,
    act: (api, { id: userId }, { owner, roomId }) => done(api, "banMember", { roomId, userId }, owner),
  },
  {
    how: "logout",
    endsSession: true,
    act: (api, victim) => api.run("mutation { logout { errors { code } } }", {}, victim),
  },
  {
    how: "password change",
    endsSession: true,
    async act(api, { username: login, password }) {
      const signedIn = await done(api, "login", { login, password }, undefined, "tokens { accessToken }");
      const elsewhere = { token: signedIn.tokens.accessToken } as Person;
      await done(api, "changePassword", { currentPassword: password, newPassword: `${password} 2` }, elsewhere);
    },
  },
  {
    how: "suspension",
    endsSession: true,
    act: (api, { id: userId }, { admin }) => done(api, "updateAccount", { userId, isSuspended: true }, admin),
  },
];

/** Time after the limit in which something late would still show. */
const WATCH_MS = 2_000;

export async function removeEverybody(
  world: World,
  { withinMs, how }: {
    readonly withinMs: number;
    /** Only these ways. (Default: all) */
    readonly how?: readonly string[];
  },
): Promise<Verdict> {
  const removals = REMOVALS.filter((removal) => how?.includes(removal.how) ?? true);
  const [a, b] = world.nodes;
  using chat = await Chat.open(world, { people: 1 + 2 * removals.length });
  const [admin] = await enlist(world.app, 1, "ADMIN") as [Person];
  const by = { owner: chat.person(0), admin, roomId: chat.room.id };
  const followers = [
    ...await chat.follow(removals.length, { on: b, skip: 1 }),
    ...await chat.follow(removals.length, { on: b, skip: 1 + removals.length, kind: EventStreamFollower }),
  ];
  const findings: Finding[] = [];
  await chat.trickleDuring({ perSecond: 50, on: a, senders: 1 }, async () => {
    await pause(500);
    findings.push(
      ...await Promise.all(followers.map(async (follower, index) => {
        const removal = removals[index % removals.length] as Removal;
        await removal.act(apiAt(a.wire.port), follower.person, by);
        const ackMs = performance.now();
        await pause(withinMs);
        const isRefused = await refuses(b.wire, { removal, person: follower.person, roomId: chat.room.id });
        await pause(WATCH_MS);
        return { removal, follower, lateMs: (follower.journal.applied.at(-1)?.atMs ?? 0) - ackMs, isRefused };
      })),
    );
  });
  chat.expectEnd(followers);
  const verdict = await chat.verdict();
  return {
    problems: [...verdict.problems, ...findings.flatMap((finding) => problemsOf(finding, withinMs))],
    figures: [...verdict.figures, ...removals.map(({ how }) => `${how}: ${describe(how, findings)}`)],
  };
}

interface Finding {
  readonly removal: Removal;
  readonly follower: Follower;
  /** How long after the acknowledgement the last event came; negative: before it. */
  readonly lateMs: number;
  /** The other node opens nothing any more: to the token, or of the room. */
  readonly isRefused: boolean;
}

function problemsOf({ removal: { how }, follower, lateMs, isRefused }: Finding, withinMs: number): string[] {
  const carrier = follower instanceof SocketFollower ? "WebSocket" : "SSE";
  return [
    ...lateMs > withinMs ? [`${how}, ${carrier}: an event came ${milliseconds(lateMs)} after`] : [],
    ...follower.ended === null ? [`${how}, ${carrier}: the stream goes on`] : [],
    ...isRefused ? [] : [`${how}: the other node still lets them in`],
  ];
}

function describe(how: string, findings: readonly Finding[]): string {
  const late = findings.filter(({ removal }) => removal.how === how).map(({ lateMs }) => lateMs);
  return `last event ${milliseconds(Math.max(0, ...late))} after`;
}

async function refuses(
  wire: Wire,
  { removal, person, roomId }: { readonly removal: Removal; readonly person: Person; readonly roomId: string },
): Promise<boolean> {
  const { data, errors } = await tryPoll(wire, person, { room: { id: roomId } });
  return removal.endsSession ? errors?.[0]?.extensions?.code === "UNAUTHENTICATED" : !data?.room?.events;
}
