/** The shape of the code, checked: what may import what, and what there must be none of. */
import { strict as assert } from "node:assert";
import { basename, join } from "node:path";
import denoJson from "../deno.json" with { type: "json" };
import { type CodeFile, readCode, ROOT } from "./support/code.ts";

const LINES_MAX = 300;

const TOP_LEVEL = [
  ...["src", "schema", "migrations", "workers", "tests", "deno.json", "docker-compose.yml", "README.md"],
  ...[".ci", ".gitignore", "deno.lock", "LICENSE", "Dockerfile"],
];

/** From the ground up. Neighbours on a floor don't know each other, except where they form one unit. */
const FLOORS: readonly (readonly RegExp[])[] = [
  [/^src\/(lib\/|errors\.ts$|config\.ts$)|^deno\.json$/],
  [/^src\/platform\//],
  [/^src\/app\.ts$/],
  ...["users", "auth", "rooms", "uploads", "messages", "live", "admin"].map((name) => [new RegExp(`^src/${name}/`)]),
  [/^src\/context\.ts$/],
  [/^schema\//, /^src\/http\//],
  [/^(src\/main\.ts$|src\/cli\/|workers\/main\.ts$)/],
];
/** GraphQL begins here: below, nothing knows of it. */
const GRAPHQL_FLOOR = FLOORS.length - 2;
const GRAPHQL = /^(graphql|graphql-yoga|graphql-ws|graphql-scalars|@graphql-yoga\/render-graphiql|@pothos\/.+)$/;

/** Packages that one file hides from all others. */
const WRAPPED = [
  ...["postgres", "ioredis", "@graphql-yoga/redis-event-target", "@electric-sql/pglite", "@electric-sql/pglite-socket"],
  ...["jose", "typeid-js", "rate-limiter-flexible", "prom-client", "pg-boss", "dataloader"],
  ...["aws4fetch", "@fastify/busboy", "sharp", "thumbhash", "file-type"],
];

/** Runs apart from the server, in a process that may be killed: it knows nothing but the words they exchange. */
const IMAGE_WORKER = "workers/image_worker.ts";
const IMAGE_PROTOCOL = "src/uploads/image_protocol.ts";

const files = await readCode(["src", "schema", "workers", "tests"]);
const product = files.filter(({ path }) => !path.startsWith("tests/"));

Deno.test("a file imports only from the floors below it, or from its own", () => {
  const wrong = product.filter(({ path }) => path !== IMAGE_WORKER).flatMap(({ path, imports }) => {
    const from = placeOf(path);
    if (from === null) return [`${path} stands on no floor`];
    return imports.filter(isPath).filter((to) => {
      const target = placeOf(to);
      return target === null || target.floor > from.floor || (target.floor === from.floor && target.unit !== from.unit);
    }).map((to) => `${path} imports ${to}`);
  });
  assert.deepEqual(wrong, []);
});

Deno.test("the image worker knows the server only by their protocol", () => {
  const { imports } = files.find(({ path }) => path === IMAGE_WORKER) ?? { imports: [] };
  assert.deepEqual(imports.filter((to) => isPath(to) && to !== IMAGE_PROTOCOL), []);
});

Deno.test("no file imports itself in a circle", () => assert.deepEqual(findCircles(), []));

Deno.test("only the schema, the transports and the roots know GraphQL", () => {
  const wrong = importsIn(product, (to, path) => GRAPHQL.test(to) && (placeOf(path)?.floor ?? 0) < GRAPHQL_FLOOR);
  assert.deepEqual(wrong, []);
});

Deno.test("a package that may be replaced one day is imported by one file", () => {
  const wrong = WRAPPED.flatMap((name) => {
    const users = product.filter(({ imports }) => imports.includes(name)).map(({ path }) => path);
    return users.length > 1 ? [`${name} is imported by ${users.join(", ")}`] : [];
  });
  assert.deepEqual(wrong, []);
});

Deno.test("the server does not depend on its tests", () => {
  assert.deepEqual(importsIn(product, (to) => to.startsWith("tests/")), []);
});

Deno.test("packages come from npm, each pinned in deno.json", () => {
  const loose = Object.entries(denoJson.imports).filter(([name, target]) =>
    !target.startsWith(`npm:${name}@`) || !/@\d+\.\d+\.\d+$/.test(target)
  );
  assert.deepEqual(loose, []);
  assert.deepEqual(importsIn(files, (to) => /^(jsr|npm|https?):/.test(to)), []);
});

Deno.test("there is one copy of graphql: with two, nothing is an instance of anything", async () => {
  const lock = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.lock")));
  const copies = Object.keys(lock.npm).filter((name) => /^graphql@/.test(name));
  assert.deepEqual(copies, [`graphql@${denoJson.imports.graphql.split("@").at(-1)}`]);
});

Deno.test("only config.ts reads the environment", () => {
  assert.deepEqual(linesIn(product.filter(({ path }) => path !== "src/config.ts"), /\bDeno\s*\.\s*env\b/), []);
});

Deno.test("every write is one statement: no transaction is begun, no connection reserved", () => {
  assert.deepEqual(linesIn(files, /\bsql\s*\.\s*(begin|reserve)\b/), []);
});

Deno.test("names are exported from the file that defines them: no index, no barrel, no default", () => {
  const plain = files.filter(({ path }) => path !== "tests/lint.ts"); // `deno lint` demands the form of a plugin
  const wrong = [
    ...files.filter(({ path }) => basename(path) === "index.ts").map(({ path }) => path),
    ...files.flatMap(({ path, passesOn }) => passesOn.map((from) => `${path} exports from ${from}`)),
    ...linesIn(plain, /^export default\b|\bas default\b/),
  ];
  assert.deepEqual(wrong, []);
});

Deno.test("no file is longer than 300 lines", () => {
  const long = files.filter(({ lines }) => lines.length > LINES_MAX).map(({ path, lines }) =>
    `${path}: ${lines.length}`
  );
  assert.deepEqual(long, []);
});

Deno.test("the top level holds what everybody expects there, and no more", async () => {
  const ignored = (await Deno.readTextFile(join(ROOT, ".gitignore"))).split("\n").map((line) =>
    line.replaceAll("/", "")
  );
  const names = (await Array.fromAsync(Deno.readDir(ROOT))).map(({ name }) => name);
  assert.deepEqual(names.filter((name) => ![...TOP_LEVEL, ...ignored, ".git"].includes(name)), []);
});

function isPath(target: string): boolean {
  return /^[^@].*\.(ts|json)$/.test(target);
}

function placeOf(path: string): { readonly floor: number; readonly unit: RegExp } | null {
  for (const [floor, units] of FLOORS.entries()) {
    const unit = units.find((each) => each.test(path));
    if (unit) return { floor, unit };
  }
  return null;
}

function importsIn(those: readonly CodeFile[], isWrong: (to: string, path: string) => boolean): string[] {
  return those.flatMap(({ path, imports }) =>
    imports.filter((to) => isWrong(to, path)).map((to) => `${path} imports ${to}`)
  );
}

function linesIn(those: readonly CodeFile[], pattern: RegExp): string[] {
  return those.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) => pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])
  );
}

function findCircles(): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const follow = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
    if (trail.includes(path) || done.has(path)) return;
    for (const to of files.find((file) => file.path === path)?.imports ?? []) follow(to, [...trail, path]);
    done.add(path);
  };
  for (const { path } of files) follow(path, []);
  return circles;
}
