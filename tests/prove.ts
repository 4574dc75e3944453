/** `deno task prove [part of a row's name …]`: breaks things on purpose and checks that the promises hold. Two nodes run as
 * processes on a Postgres and a Redis of their own (PROVE_DATABASE_URL and PROVE_REDIS_URL use others, which are left in
 * peace: rows that would harm them are skipped). PROVE_SEED repeats the chance of a run. */
import { CLIENT_ROWS } from "./prove/client_rows.ts";
import { CROWD_ROWS } from "./prove/crowd_rows.ts";
import { NODE_ROWS } from "./prove/node_rows.ts";
import { POSTGRES_ROWS } from "./prove/postgres_rows.ts";
import { PRESENCE_ROWS } from "./prove/presence_rows.ts";
import { REDIS_ROWS } from "./prove/redis_rows.ts";
import { REMOVAL_ROWS } from "./prove/removal_rows.ts";
import { pause } from "./prove/system.ts";
import { formatTable, isBad, judge, type Result, type Row, seconds } from "./prove/verdicts.ts";
import { World } from "./prove/world.ts";

/** A row that takes longer has failed, whatever it waits for. */
const ROW_MS_MAX = 120_000;

const ROWS: readonly Row<World>[] = [
  ...NODE_ROWS,
  ...REDIS_ROWS,
  ...POSTGRES_ROWS,
  ...CLIENT_ROWS,
  ...CROWD_ROWS,
  ...REMOVAL_ROWS,
  ...PRESENCE_ROWS,
];

const seed = Number(Deno.env.get("PROVE_SEED") || crypto.getRandomValues(new Uint32Array(1))[0]);
print(`Seed: ${seed} (PROVE_SEED=${seed} repeats it)`);
const wanted = ROWS.filter(({ name }) => Deno.args.length === 0 || Deno.args.some((part) => name.includes(part)));
const results: Result[] = [];
let world = await openWorld();
try {
  for (const row of wanted) {
    const startMs = performance.now();
    const result = await prove(row);
    results.push(result);
    print(`${result.outcome.padEnd(7)} ${row.name}, ${seconds(performance.now() - startMs)}: ${result.figures}`);
  }
} finally {
  await world[Symbol.asyncDispose]();
}
print(`\n${formatTable(results)}`);
const bad = results.filter(isBad).length;
print(bad === 0 ? `\nAll ${results.length} rows hold.` : `\n${bad} of ${results.length} rows fail.`);
Deno.exit(bad === 0 ? 0 : 1);

function openWorld(): Promise<World> {
  return World.open({
    seed,
    databaseUrl: Deno.env.get("PROVE_DATABASE_URL") || undefined,
    redisUrl: Deno.env.get("PROVE_REDIS_URL") || undefined,
  });
}

async function prove(row: Row<World>): Promise<Result> {
  const { promise, deed } = row;
  const missing = (row.harms ?? []).filter((server) => world[server].control === null);
  if (missing.length > 0) return { promise, deed, figures: "needs own servers", outcome: "skipped" };
  const timeout = new AbortController();
  try {
    const verdict = await Promise.race([row.run(world), tooLate(timeout.signal)]);
    await world.heal();
    return judge(row, { ...verdict, problems: [...verdict.problems, ...world.takeUnexpectedEnds()] });
  } catch (error) {
    print(`The row broke: ${error instanceof Error ? error.stack : error}`);
    const [problem = ""] = `the row broke: ${error}`.split("\n");
    await world[Symbol.asyncDispose](); // whatever the row still does, it does to this one
    world = await openWorld();
    return judge(row, { figures: [], problems: [problem] });
  } finally {
    timeout.abort();
  }
}

async function tooLate(signal: AbortSignal): Promise<never> {
  await pause(ROW_MS_MAX, signal);
  throw new Error(`not done after ${seconds(ROW_MS_MAX)}`);
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
