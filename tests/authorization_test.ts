/** Who may do what: every field of the three root types, asked by every kind of people about one private room. What is
 * missing in the table fails, so that nothing new can be forgotten. */
import { strict as assert } from "node:assert";
import { schema } from "../schema/schema.ts";
import { type Any, type Person, startApp } from "./support/app.ts";
import { type Request, ROWS } from "./support/authorization.ts";
import { done } from "./support/mutations.ts";
import { RawSocket } from "./support/sockets.ts";
import { createWorld, type Kind, KINDS, type World } from "./support/worlds.ts";

Deno.test("everybody may do what the table says, and nothing else", async (t) => {
  await using app = await startApp();
  const world = await createWorld(app);
  for (const [name, { outcomes, ask }] of Object.entries(ROWS)) {
    await t.step(name, async () => {
      const found: string[] = [];
      for (const kind of KINDS) found.push(await outcomeOf(world, { name, kind, request: await ask(world, kind) }));
      assert.equal(found.join(" "), outcomes);
    });
  }
});

Deno.test("every field of the root types is in the table", () => {
  const fields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.keys(type?.getFields() ?? {}).map((field) => `${type?.name}.${field}`)
  );
  const rows = new Set(Object.keys(ROWS).map((name) => name.split(" ")[0]));
  assert.deepEqual(fields.filter((field) => !rows.has(field)), []);
});

interface Asked {
  readonly name: string;
  readonly kind: Kind;
  readonly request: Request;
}

async function outcomeOf(world: World, { name, kind, request }: Asked): Promise<string> {
  const as = request.as ?? (kind === "nobody" ? undefined : world.people[kind]);
  const { data, errors } = name.startsWith("Subscription.")
    ? await follow(world, as, documentOf(name, request))
    : (await world.app.post({ query: documentOf(name, request), variables: variablesOf(world, request) }, as)).body;
  if (errors) return errors[0].extensions.code;
  const value = data?.field;
  if (value?.errors?.length > 0) return value.errors[0].code;
  if (value === null || (Array.isArray(value) && value[0] === null)) return "null";
  return value?.edges?.length === 0 ? "empty" : "ok";
}

/** The first answer on a socket. */
async function follow(world: World, as: Person | undefined, query: string): Promise<Any> {
  await using socket = as ? await RawSocket.signIn(world.app, as) : await RawSocket.connect(world.app);
  const id = crypto.randomUUID();
  socket.subscribe(id, query, { room: world.room.id });
  const answer = query.includes("presence")
    ? await whileSomethingChanges(world, socket.next(id))
    : await socket.next(id);
  return answer.type === "error" ? { errors: answer.payload } : answer.payload;
}

/** The first frame of a stream that has nothing to say until somebody's presence changes. */
async function whileSomethingChanges({ app, people: { moderator } }: World, frame: Promise<Any>): Promise<Any> {
  await using _present = await RawSocket.signIn(app, moderator);
  let answer: Any = null;
  const answered = frame.then((found) => answer = found);
  for (let turn = 0; answer === null; turn++) {
    await done(app, "setPresence", { status: turn % 2 === 0 ? "AWAY" : "ONLINE" }, moderator);
  }
  return await answered;
}

function documentOf(name: string, { input, args = "", select = "" }: Request): string {
  const [type = "", field = ""] = (name.split(" ")[0] ?? "").split(".");
  const known = [args.includes("$room") ? "$room: ID!" : "", args.includes("$id") ? "$id: ID!" : ""].filter(Boolean);
  if (type !== "Mutation") {
    return `${type.toLowerCase()} ${
      known.length > 0 ? `(${known.join(", ")})` : ""
    } { field: ${field}${args} ${select} }`;
  }
  const inputType = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
  const selection = "{ errors { code message path } }";
  return input === undefined
    ? `mutation { field: ${field} ${selection} }`
    : `mutation ($input: ${inputType}!) { field: ${field}(input: $input) ${selection} }`;
}

function variablesOf({ room }: World, { input, id, args = "" }: Request): object {
  return input === undefined
    ? { ...(args.includes("$room") ? { room: room.id } : {}), ...(args.includes("$id") ? { id } : {}) }
    : { input };
}
