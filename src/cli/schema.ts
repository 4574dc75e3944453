/** `deno task schema`: prints the schema into `schema/schema.graphql`, where reviewers see what a change does to clients. */
import { printSchema } from "graphql";
import { schema } from "../../schema/schema.ts";

await Deno.writeTextFile(new URL("../../schema/schema.graphql", import.meta.url), printSchema(schema) + "\n");
