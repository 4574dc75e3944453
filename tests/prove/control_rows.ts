/** The same rows for a chat of the usual kind, which must fail them: what it passes proves nothing. */
import { dropClients, stallOne } from "./client_rows.ts";
import { killPubSub, stopRedis } from "./redis_rows.ts";
import { removeEverybody } from "./removal_rows.ts";
import type { Row } from "./verdicts.ts";

export interface ControlRow extends Row {
  /** The problem that must be found. */
  readonly mustShow: RegExp;
}

export const CONTROL_ROWS: readonly ControlRow[] = [
  { // first: memory that other rows have left behind would hide what grows
    name: "control-client-stalled",
    promise: "Control: a client that reads nothing fills the memory of the usual chat",
    deed: "a client that asks for 8 MB a second and reads nothing, for 20 s",
    mustShow: /grew/,
    run: stallOne,
  },
  {
    name: "control-redis-stopped",
    promise: "Control: the usual chat loses what Redis does not carry",
    deed: "Redis stopped for 12 s",
    harms: ["redis"],
    mustShow: /missing/,
    run: (world) => stopRedis(world, { forMs: 12_000 }),
  },
  {
    name: "control-redis-pubsub-killed",
    promise: "Control: the usual chat loses what falls between two connections to Redis",
    deed: "CLIENT KILL TYPE pubsub, 20 times in 10 s",
    harms: ["redis"],
    mustShow: /missing/,
    run: killPubSub,
  },
  {
    name: "control-clients-dropping",
    promise: "Control: a client of the usual chat misses what came while it was away",
    deed: "200 sockets, each cut every 2 s on average, for 12 s",
    mustShow: /missing/,
    run: dropClients,
  },
  {
    name: "control-removed",
    promise: "Control: the usual chat goes on delivering to whom it has removed",
    deed: "kick on one node, the streams on the other",
    mustShow: /came .* after/,
    run: (world) => removeEverybody(world, { withinMs: 1_000, how: ["kick"] }),
  },
];
