/** The first two parts of a GraphQL multipart request: the operation, and where in its variables the files belong.
 * https://github.com/jaydenseric/graphql-multipart-request-spec */
import type { GraphQLParams } from "graphql-yoga";
import { ATTACHMENTS_PER_MESSAGE_MAX } from "../config.ts";
import type { IncomingFile } from "../uploads/receiving.ts";
import { badRequest } from "./bad_requests.ts";

/** Places in all variables together; one file may be wanted in several. */
const PLACES_MAX = 100;
/** Names by which objects of JavaScript are reached that no client sent. */
const FORBIDDEN_KEYS: readonly string[] = ["__proto__", "constructor", "prototype"];

/** Puts a file where it belongs in the variables. */
export type Put = (file: IncomingFile) => void;

/** By the name of its part what is to be done with each file. */
export type UploadMap = Map<string, Put>;

/** Throws BAD_REQUEST. */
export function parseOperations(text: string): GraphQLParams {
  const params = parseJson("operations", text);
  if (Array.isArray(params)) throw badRequest("`operations` is a list, and batching is not supported");
  if (!isContainer(params)) throw badRequest("`operations` is not an object");
  return params;
}

/** Finds all places in the variables, before any file is read. Throws BAD_REQUEST for one that is not `null` now. */
export function parseMap(text: string, params: GraphQLParams): UploadMap {
  const map = parseJson("map", text);
  if (!isContainer(map) || Array.isArray(map)) throw badRequest("`map` is not an object");
  const entries = Object.entries(map);
  if (entries.length > ATTACHMENTS_PER_MESSAGE_MAX) {
    throw badRequest(`\`map\` names ${entries.length} files, the limit is ${ATTACHMENTS_PER_MESSAGE_MAX}`);
  }
  const pathLists = entries.map(([, paths]) => requirePaths(paths));
  const paths = pathLists.flat();
  if (paths.length > PLACES_MAX) throw badRequest(`\`map\` has ${paths.length} paths, the limit is ${PLACES_MAX}`);
  if (new Set(paths).size < paths.length) throw badRequest("`map` has a path twice");
  return new Map(entries.map(([name], index) => {
    const puts = (pathLists[index] ?? []).map((path) => findPlace(params, path));
    return [name, (file) => puts.forEach((put) => put(file))];
  }));
}

function requirePaths(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.length > 0 && value.every((path) => typeof path === "string")) return value;
  throw badRequest("`map` has an entry that is no list of paths");
}

function findPlace(params: GraphQLParams, path: string): Put {
  const [root, ...keys] = path.split(".");
  const last = keys.pop();
  const wrong = () =>
    badRequest(`\`map\` has a path that leads to no \`null\` in the variables: ${path.slice(0, 100)}`);
  if (root !== "variables" || last === undefined) throw wrong();
  let place: unknown = params.variables;
  for (const key of keys) place = isOwn(place, key) ? place[key] : undefined;
  if (!isOwn(place, last) || place[last] !== null) throw wrong();
  const found = place;
  return (file) => found[last] = file;
}

function isOwn(value: unknown, key: string): value is Record<string, unknown> {
  return isContainer(value) && !FORBIDDEN_KEYS.includes(key) && Object.hasOwn(value, key);
}

/** An object or a list. */
function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function parseJson(part: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest(`\`${part}\` is not JSON`);
  }
}
