/** The operations of a chat client, one for each screen: `tests/operations.graphql`. */
import { type OperationDefinitionNode, parse, print, separateOperations } from "graphql";

const source = await Deno.readTextFile(new URL("../operations.graphql", import.meta.url));
const separated = separateOperations(parse(source));

export const OPERATION_NAMES: readonly string[] = Object.keys(separated);

/** The operation with the fragments that it uses. */
export function operation(name: string): string {
  const document = separated[name];
  if (document === undefined) throw new Error(`There is no operation ${name}`);
  return print(document);
}

/** `query`, `mutation` or `subscription`. */
export function kindOf(name: string): string {
  const definitions = separated[name]?.definitions ?? [];
  return definitions.find((each): each is OperationDefinitionNode => each.kind === "OperationDefinition")?.operation ??
    "";
}
