/** The whole schema: every file that adds types, in the order of the features. */
import type { GraphQLSchema } from "graphql";
import { builder } from "./builder.ts";
import "./errors.ts";
import "./users.ts";
import "./auth.ts";
import "./rooms.ts";
import "./members.ts";
import "./messages.ts";
import "./room_events.ts";
import "./nodes.ts";

export const schema: GraphQLSchema = builder.toSchema();
