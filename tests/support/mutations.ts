/** Mutations as one line of a test: the payload of one, or why it was refused. */
import { strict as assert } from "node:assert";
import type { Any, Person, TestApp } from "./app.ts";

type Runner = Pick<TestApp, "run">;

/** Runs one mutation and returns its payload: what `select` asks for, and `errors`. */
export async function mutate(app: Runner, name: string, input: object, as?: Person, select = ""): Promise<Any> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const document = `mutation ($input: ${type}!) {
    ${name}(input: $input) { ${select} errors { __typename code message path ... on InvalidInputError { limit } } }
  }`;
  return (await app.run(document, { input }, as))[name];
}

/** Runs one mutation that has to succeed. */
export async function done(app: Runner, name: string, input: object, as?: Person, select = ""): Promise<Any> {
  const payload = await mutate(app, name, input, as, select);
  assert.deepEqual(payload.errors, [], `${name} was refused`);
  return payload;
}

/** Runs one mutation that has to be refused; `["CODE", "field"]`, and the limit where there is one. */
export async function refusal(app: Runner, name: string, input: object, as?: Person): Promise<(string | number)[]> {
  const { errors } = await mutate(app, name, input, as);
  assert.equal(errors.length, 1, `${name} was not refused: ${JSON.stringify(input).slice(0, 200)}`);
  const [{ code, path, limit }] = errors;
  return [code, ...(path ?? []), ...(typeof limit === "number" ? [limit] : [])];
}
