/** `deno task prove [part of a row's name …]`: breaks things on purpose and checks that the promises hold. Two nodes run as
 * processes on a Postgres and a Redis of their own (PROVE_DATABASE_URL and PROVE_REDIS_URL use others, which are left in
 * peace: rows that would harm them are skipped). PROVE_SEED repeats the chance of a run. */
import { NODE_ROWS } from "./prove/node_rows.ts";
import { pause } from "./prove/system.ts";
import { formatTable, isBad, judge, type Result, type Row, seconds, type Verdict } from "./prove/verdicts.ts";
import { World } from "./prove/world.ts";

/** A row that takes longer has failed, whatever it waits for. */
const ROW_MS_MAX = 120_000;

const ROWS: readonly Row<World>[] = [...NODE_ROWS];

const seed = Number(Deno.env.get("PROVE_SEED") || crypto.getRandomValues(new Uint32Array(1))[0]);
print(`Seed: ${seed} (PROVE_SEED=${seed} repeats it)`);
const wanted = ROWS.filter(({ name }) => Deno.args.length === 0 || Deno.args.some((part) => name.includes(part)));
const results: Result[] = [];
{
  await using world = await World.open({
    seed,
    databaseUrl: Deno.env.get("PROVE_DATABASE_URL") || undefined,
    redisUrl: Deno.env.get("PROVE_REDIS_URL") || undefined,
  });
  for (const row of wanted) {
    const startMs = performance.now();
    const result = await prove(row, world);
    results.push(result);
    print(`${result.outcome.padEnd(7)} ${row.name}, ${seconds(performance.now() - startMs)}: ${result.figures}`);
  }
}
print(`\n${formatTable(results)}`);
const bad = results.filter(isBad).length;
print(bad === 0 ? `\nAll ${results.length} rows hold.` : `\n${bad} of ${results.length} rows fail.`);
Deno.exit(bad === 0 ? 0 : 1);

async function prove(row: Row<World>, world: World): Promise<Result> {
  const missing = (row.harms ?? []).filter((server) => world[server].control === null);
  if (missing.length > 0) {
    return {
      promise: row.promise,
      deed: row.deed,
      figures: `needs its own ${missing.join(" and ")}`,
      outcome: "skipped",
    };
  }
  const verdict = await Promise.race([row.run(world), tooLate()]).catch((error): Verdict => ({
    figures: [],
    problems: [`the row broke: ${error.stack ?? error}`],
  }));
  await world.heal();
  const ends = world.takeUnexpectedEnds();
  return judge(row as Row<never>, { ...verdict, problems: [...verdict.problems, ...ends] });
}

async function tooLate(): Promise<Verdict> {
  await pause(ROW_MS_MAX);
  return { figures: [], problems: [`not done after ${seconds(ROW_MS_MAX)}`] };
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
