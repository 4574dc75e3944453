/** What the server counts, for `/metrics` (Prometheus) and for the tests that hold it to its figures. */
import { cpuUsage } from "node:process";
import { Counter, Gauge, Registry } from "prom-client";
import type { Bus } from "./bus.ts";

export interface Metrics {
  readonly registry: Registry;
  readonly sqlStatements: Counter;
  /** Selection sets executed for live batches: one for each group and batch, however many subscribers. */
  readonly liveExecutions: Counter;
  /** `JSON.stringify` calls for live batches. */
  readonly liveEncodings: Counter;
  /** Batches handed to subscribers. */
  readonly liveDeliveries: Counter;
  /** Reads of the room log: by streams that missed a hint and by subscribers that catch up. */
  readonly logReads: Counter;
  readonly followers: Gauge;
  readonly sockets: Gauge;
  readonly waitingPolls: Gauge;
  /** Sockets closed by the server, by close code. */
  readonly socketCloses: Counter<"code">;
  readonly internalErrors: Counter;
  /** Errors that nobody caught, each a bug. */
  readonly uncaughtErrors: Counter;
  /** Times at which the database stopped to answer. */
  readonly databaseStalls: Counter;
  /** Shows how the bus is, from now on. */
  watchBus(bus: Bus): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const counter = (name: string, help: string) => new Counter({ name: `parley_${name}`, help, registers: [registry] });
  const gauge = (name: string, help: string) => new Gauge({ name: `parley_${name}`, help, registers: [registry] });
  const watched = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `parley_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  collectProcess(registry);
  return {
    registry,
    sqlStatements: counter("sql_statements_total", "SQL statements sent."),
    liveExecutions: counter("live_executions_total", "Selection sets executed for live batches."),
    liveEncodings: counter("live_encodings_total", "JSON encodings made for live batches."),
    liveDeliveries: counter("live_deliveries_total", "Live batches handed to subscribers."),
    logReads: counter("room_log_reads_total", "Reads of the room log to catch up."),
    followers: gauge("followers", "Live subscriptions: of rooms, viewers, presence and typing."),
    sockets: gauge("sockets", "Open WebSocket connections."),
    waitingPolls: gauge("waiting_polls", "Requests that wait for events of a room."),
    socketCloses: new Counter({
      name: "parley_socket_closes_total",
      help: "WebSocket connections closed by the server.",
      labelNames: ["code"],
      registers: [registry],
    }),
    internalErrors: counter("internal_errors_total", "Unexpected errors, masked to clients."),
    uncaughtErrors: counter("uncaught_errors_total", "Errors that nobody caught, logged and survived."),
    databaseStalls: counter("database_stalls_total", "Times at which the database stopped to answer."),
    watchBus(bus) {
      watched("bus_listeners", "Listeners of the event bus on this node.", () => bus.listenerCount);
      watched("bus_healthy", "1 where hints of other nodes arrive, else 0.", () => Number(bus.isHealthy));
    },
  };
}

/** CPU and memory of this process, under the names that dashboards expect; the defaults of prom-client ask for more
 * permissions than a server should have. */
function collectProcess(registry: Registry): void {
  new Gauge({
    name: "process_cpu_seconds_total",
    help: "CPU time spent, in all threads.",
    registers: [registry],
    collect() {
      const { user, system } = cpuUsage();
      this.set((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory.",
    registers: [registry],
    collect() {
      this.set(Deno.memoryUsage().rss);
    },
  });
}
