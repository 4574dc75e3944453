/** The state of the server and its limits, so that clients can validate before they send. */
import {
  healthOf,
  type HealthStatus as Health,
  readServerStatus,
  type ServerLimits as Limits,
  type ServerStatus as Status,
  type ServiceCheck as Check,
} from "../src/admin/status.ts";
import { countOnline } from "../src/live/presence.ts";
import { builder } from "./builder.ts";

const HealthStatus = builder.enumType("HealthStatus", {
  description: "Health of the server or of a part of it.",
  values: {
    OK: { description: "Works." },
    DEGRADED: { description: "Works with reduced function or speed." },
    DOWN: { description: "Does not work." },
  } satisfies Record<Health, { description: string }>,
});

const ServiceCheck = builder.objectRef<Check>("ServiceCheck").implement({
  description: "Result of one health check.",
  fields: (t) => ({
    name: t.exposeString("name", { description: "Checked part, e.g. `postgres`, `redis`, `worker`, `storage`." }),
    status: t.expose("status", { type: HealthStatus, description: "Its health." }),
    latencyMs: t.exposeFloat("latencyMs", { nullable: true, description: "Round trip in milliseconds." }),
  }),
});

const ServerLimits = builder.objectRef<Limits>("ServerLimits").implement({
  description: "Limits of this server, so that clients can validate before they send.",
  fields: (t) => ({
    maxMessageLength: t.exposeInt("maxMessageLength", { description: "Characters in a message." }),
    maxUploadBytes: t.exposeInt("maxUploadBytes", { description: "Bytes in one uploaded file." }),
    maxAttachmentsPerMessage: t.exposeInt("maxAttachmentsPerMessage", { description: "Attachments on one message." }),
    maxRoomMembers: t.exposeInt("maxRoomMembers", { description: "Members of one room." }),
    maxPageSize: t.exposeInt("maxPageSize", { description: "Largest accepted `first` or `last`." }),
    messageEditWindowSeconds: t.exposeInt("messageEditWindowSeconds", {
      nullable: true,
      description: "Seconds in which a message may be edited; `null` for no limit.",
    }),
    typingTimeoutSeconds: t.exposeInt("typingTimeoutSeconds", {
      description: "Seconds after which a typing indicator fades unless renewed.",
    }),
  }),
});

const ServerStatus = builder.objectRef<Status>("ServerStatus").implement({
  description: "Public state of the server.",
  fields: (t) => ({
    status: t.field({
      type: HealthStatus,
      description: "Overall health.",
      resolve: async (server) => healthOf(await server.checkParts()),
    }),
    version: t.exposeString("version", { description: "Release of the server (semver)." }),
    time: t.expose("time", {
      type: "DateTime",
      description: "Server clock; compare with the local clock to correct countdowns.",
    }),
    startedAt: t.expose("startedAt", { type: "DateTime", description: "When this instance started." }),
    limits: t.expose("limits", { type: ServerLimits, description: "Limits of this server." }),
    checks: t.field({
      type: [ServiceCheck],
      nullable: true,
      description: "Checks of the parts; `null` unless the viewer is an admin.",
      resolve: async (server) => await server.isForAdmin() ? [...await server.checkParts()] : null,
    }),
    onlineUserCount: t.int({
      description: "Users online now.",
      resolve: (_server, _args, ctx) => countOnline(ctx.app),
    }),
    connectionCount: t.int({
      nullable: true,
      description: "Open WebSocket connections on all instances; `null` unless the viewer is an admin.",
      resolve: async (server) => await server.isForAdmin() ? (await server.countNodes()).sockets : null,
    }),
    instanceCount: t.int({
      nullable: true,
      description: "Running instances; `null` unless the viewer is an admin.",
      resolve: async (server) => await server.isForAdmin() ? (await server.countNodes()).nodes : null,
    }),
  }),
});

builder.queryField("serverStatus", (t) =>
  t.field({
    type: ServerStatus,
    nullable: true,
    description: "Public state and limits of the server.",
    resolve: (_root, _args, ctx) => readServerStatus(ctx.app, ctx.viewer),
  }));
