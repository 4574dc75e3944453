/** `deno task prove [part of a row's name …]`: breaks things on purpose and checks that the promises hold. Two nodes run as
 * processes on a Postgres and a Redis of their own (PROVE_DATABASE_URL and PROVE_REDIS_URL use others, which are left in
 * peace: rows that would harm them are skipped). PROVE_SEED repeats the chance of a run. In the end the same judge looks at
 * a chat of the usual kind, which must fail. */
import { type Backend, NAIVE, PARLEY } from "./prove/backends.ts";
import { CLIENT_ROWS } from "./prove/client_rows.ts";
import { CONTROL_ROWS } from "./prove/control_rows.ts";
import { CROWD_ROWS } from "./prove/crowd_rows.ts";
import { IMAGE_ROWS } from "./prove/image_rows.ts";
import { NODE_ROWS } from "./prove/node_rows.ts";
import { POSTGRES_ROWS } from "./prove/postgres_rows.ts";
import { PRESENCE_ROWS } from "./prove/presence_rows.ts";
import { REDIS_ROWS } from "./prove/redis_rows.ts";
import { REMOVAL_ROWS } from "./prove/removal_rows.ts";
import { pause } from "./prove/system.ts";
import {
  formatTable,
  isBad,
  judge,
  judgeControl,
  type Result,
  type Row,
  seconds,
  type Verdict,
} from "./prove/verdicts.ts";
import { World } from "./prove/world.ts";

/** A row that takes longer has failed, whatever it waits for. */
const ROW_MS_MAX = 120_000;

const ROWS = [
  ...NODE_ROWS,
  ...REDIS_ROWS,
  ...POSTGRES_ROWS,
  ...CLIENT_ROWS,
  ...REMOVAL_ROWS,
  ...PRESENCE_ROWS,
  ...CROWD_ROWS,
  ...IMAGE_ROWS,
];

/** What runs now, and has to end with this process: Postgres would outlive it. */
let world: World | null = null;
Deno.addSignalListener("SIGINT", interrupt);
Deno.addSignalListener("SIGTERM", interrupt);
for (const kind of ["error", "unhandledrejection"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    const { error, reason } = event as Partial<ErrorEvent & PromiseRejectionEvent>;
    print(`The harness broke: ${(error ?? reason)?.stack ?? error ?? reason}`);
    interrupt();
  });
}

const seed = Number(Deno.env.get("PROVE_SEED") || crypto.getRandomValues(new Uint32Array(1))[0]);
const startMs = performance.now();
print(`Seed: ${seed} (PROVE_SEED=${seed} repeats it)`);
const results = [
  ...await proveAll(PARLEY, ROWS.filter(isWanted), judge),
  ...await proveAll(NAIVE, CONTROL_ROWS.filter(isWanted), judgeControl),
];
print(`\n${formatTable(results)}\n`);
const bad = results.filter(isBad).length;
const took = `${seconds(performance.now() - startMs)}, seed ${seed}`;
print(
  bad === 0
    ? `All ${results.length} rows are as they should be (${took}).`
    : `${bad} of ${results.length} rows fail (${took}).`,
);
Deno.exit(bad === 0 ? 0 : 1);

function isWanted({ name }: Row): boolean {
  return Deno.args.length === 0 || Deno.args.some((part) => name.includes(part));
}

async function proveAll<R extends Row>(
  backend: Backend,
  rows: readonly R[],
  judgeRow: (row: R, verdict: Verdict) => Result,
): Promise<Result[]> {
  const done: Result[] = [];
  try {
    for (const row of rows) {
      world ??= await openWorld(backend);
      const rowMs = performance.now();
      const verdict = await prove(row, world);
      const result = verdict === "skipped" ? skip(row) : judgeRow(row, verdict);
      done.push(result);
      print(`${result.outcome.padEnd(7)} ${row.name}, ${seconds(performance.now() - rowMs)}: ${result.figures}`);
      if (verdict !== "skipped" && verdict.isBroken) await leaveWorld(); // whatever the row still does, it does to this one
    }
  } finally {
    await leaveWorld();
  }
  return done;
}

function openWorld(backend: Backend): Promise<World> {
  return World.open({
    backend,
    seed,
    databaseUrl: Deno.env.get("PROVE_DATABASE_URL") || undefined,
    redisUrl: Deno.env.get("PROVE_REDIS_URL") || undefined,
  });
}

async function leaveWorld(): Promise<void> {
  const left = world;
  world = null;
  await left?.[Symbol.asyncDispose]();
}

async function interrupt(): Promise<never> {
  await leaveWorld().catch((error) => print(`Left behind: ${error}`));
  Deno.exit(130);
}

/** The row's verdict; one that breaks or does not end has failed. */
async function prove(row: Row, world: World): Promise<Verdict & { readonly isBroken: boolean } | "skipped"> {
  if (row.harms?.some((server) => world[server].control === null)) return "skipped";
  const timeout = new AbortController();
  try {
    const verdict = await Promise.race([row.run(world), tooLate(timeout.signal)]);
    await world.heal();
    return { ...verdict, problems: [...verdict.problems, ...world.takeUnexpectedEnds()], isBroken: false };
  } catch (error) {
    print(`The row broke: ${error instanceof Error ? error.stack : error}`);
    const [problem = ""] = `the row broke: ${error}`.split("\n");
    return { figures: [], problems: [problem, ...world.takeUnexpectedEnds()], isBroken: true };
  } finally {
    timeout.abort();
  }
}

async function tooLate(signal: AbortSignal): Promise<never> {
  await pause(ROW_MS_MAX, signal);
  throw new Error(`not done after ${seconds(ROW_MS_MAX)}`);
}

function skip({ promise, deed }: Row): Result {
  return { promise, deed, figures: "needs own servers", outcome: "skipped" };
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
