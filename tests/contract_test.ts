/** The contract with clients is `api.graphql`; what the server has built of it must agree with it to the letter. */
import { strict as assert } from "node:assert";
import { type ASTNode, buildClientSchema, getIntrospectionQuery, parse, print, printSchema } from "graphql";
import { schema } from "../schema/schema.ts";
import { startApp } from "./support/app.ts";

/** What the server has and the contract has not. Each is a decision: clients may come to depend on it. */
const BEYOND_THE_CONTRACT: readonly string[] = [
  "CreateUploadInput",
  "CreateUploadInput.byteSize",
  "CreateUploadInput.filename",
  "CreateUploadInput.roomId",
  "CreateUploadPayload",
  "CreateUploadPayload.attachmentId",
  "CreateUploadPayload.errors",
  "CreateUploadPayload.expiresAt",
  "CreateUploadPayload.url",
  "ErrorCode.QUOTA_EXCEEDED",
  "Mutation.createUpload",
  "Mutation.createUpload(input:)",
  "Mutation.refreshConnection",
  "Mutation.refreshConnection(input:)",
  "RefreshConnectionInput",
  "RefreshConnectionInput.accessToken",
  "RefreshConnectionPayload",
  "RefreshConnectionPayload.accessTokenExpiresAt",
  "RefreshConnectionPayload.errors",
  "Room.events",
  "Room.events(after:)",
  "Room.events(first:)",
  "Room.events(waitSeconds:)",
  "RoomRemovedEvent.note",
];

/** What the server says otherwise: these links are checked, and so short-lived that one that leaks is soon worth nothing. */
const SAID_OTHERWISE: readonly string[] = ["Attachment.url", "Image.url"];
Deno.test("every type, field, argument, enum value and default that is built is the contract's own", () => {
  const wrong = [...server].flatMap(([name, { definition }]) => {
    const agreed = contract.get(name)?.definition;
    return agreed === undefined || agreed === definition ? [] : [`${name}: ${definition}, the contract has ${agreed}`];
  });
  assert.deepEqual(wrong, []);
});

Deno.test("nothing is offered that the contract does not know", () => {
  const beyond = [...server.keys()].filter((name) => !contract.has(name));
  assert.deepEqual(beyond, BEYOND_THE_CONTRACT);
});

Deno.test("everything that the contract knows is offered", () => {
  assert.deepEqual([...contract.keys()].filter((name) => !server.has(name)), []);
});

Deno.test("what a running server tells of itself is what is compared here", async () => {
  await using app = await startApp();
  const query = getIntrospectionQuery({ specifiedByUrl: true, inputValueDeprecation: true, oneOf: true });
  const told = partsOf(printSchema(buildClientSchema(await app.run(query))));
  assert.deepEqual([...told.keys()].sort(), [...server.keys()].sort());
  const different = [...told].filter(([name, part]) => JSON.stringify(part) !== JSON.stringify(server.get(name)));
  assert.deepEqual(different, []);
});

Deno.test("every type, field, argument and enum value says what it means", () => {
  const silent = [...server].filter(([, { description }]) => description === "").map(([name]) => name);
  assert.deepEqual(silent, []);
});

Deno.test("descriptions are the contract's, but for those that are meant to differ", () => {
  const wrong = [...server].flatMap(([name, { description }]) => {
    const agreed = contract.get(name)?.description ?? "";
    if (agreed === "" || SAID_OTHERWISE.includes(name) || isSaid(agreed, name, description)) return [];
    return [`${name}: "${description}", the contract has "${agreed}"`];
  });
  assert.deepEqual(wrong, []);
});

Deno.test("schema.graphql is the schema that is served", async () => {
  const printed = await Deno.readTextFile(new URL("../schema/schema.graphql", import.meta.url));
  assert.equal(printed, printSchema(schema) + "\n", "run `deno task schema`");
});

interface Part {
  /** In SDL, without description and without the parts that are looked at by themselves. */
  readonly definition: string;
  readonly description: string;
  /** Names of the interfaces, for a type. */
  readonly interfaces: readonly string[];
}

/** Everything that has a name: `Room`, `Room.messages`, `Room.messages(first:)`, `RoomKind.PUBLIC`. */
function partsOf(sdl: string): Map<string, Part> {
  const parts = new Map<string, Part>();
  const add = (name: string, node: Named) => {
    const { description, interfaces = [] } = node;
    const rest = { ...node, description: undefined, fields: [], values: [], arguments: [], types: [] };
    parts.set(name, {
      definition: print(rest as unknown as ASTNode),
      description: description?.value.replaceAll(/\s+/g, " ") ?? "",
      interfaces: interfaces.map((each) => each.name.value),
    });
  };
  for (const type of parse(sdl).definitions as unknown as Named[]) {
    if (type.name === undefined) continue; // `schema { … }`
    add(type.name.value, type);
    for (const member of type.types ?? []) add(`${type.name.value} = ${member.name.value}`, { ...type, ...member });
    for (const field of [...type.fields ?? [], ...type.values ?? []]) {
      const name = `${type.name.value}.${field.name?.value}`;
      add(name, field);
      for (const argument of field.arguments ?? []) add(`${name}(${argument.name?.value}:)`, argument);
    }
  }
  return parts;
}

interface Named {
  readonly name?: { readonly value: string };
  readonly description?: { readonly value: string };
  readonly interfaces?: readonly { readonly name: { readonly value: string } }[];
  readonly fields?: readonly Named[];
  readonly values?: readonly Named[];
  /** Members of a union. */
  readonly types?: readonly { readonly name: { readonly value: string } }[];
  readonly arguments?: readonly Named[];
}

/** In the contract's words, or for a field of an interface in those of the interface where they only add to them. */
function isSaid(agreed: string, name: string, description: string): boolean {
  if (description === agreed) return true;
  const [type = "", field] = name.split(".");
  return server.get(type)?.interfaces.some((each) =>
    description === contract.get(`${each}.${field}`)?.description && description.startsWith(agreed.replace(/\.$/, ""))
  ) ?? false;
}

const contract = partsOf(await Deno.readTextFile(new URL("api.graphql", import.meta.url)));
const server = partsOf(printSchema(schema));
