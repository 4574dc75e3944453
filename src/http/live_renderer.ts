/** Executes and encodes live batches: once for a whole group, with each member's own values put in afterwards. */
import {
  type DocumentNode,
  executeSubscriptionEvent,
  type ExecutionResult,
  Kind,
  type ValidatedSubscriptionArgs,
  visit,
} from "graphql";
import type { App } from "../app.ts";
import { type Context, type FieldPath, SharedContext, ViewerContext, type ViewerSlot } from "../context.ts";
import { NeedsViewer, type Rendered, type Renderer, type SharedFacts } from "../live/fanout.ts";
import type { ViewerRenderer } from "../live/subscriptions.ts";
import { isAway } from "../platform/sql.ts";
import type { Reader } from "../rooms/relations.ts";
import { formatErrors, reportResult, rootCause } from "./reports.ts";

/** What all subscriptions with one document have in common. */
interface Plan {
  readonly id: number;
  /** Variables that only say where to begin: they make no difference to what a batch looks like. */
  readonly cursorVariables: ReadonlySet<string>;
  /** Whether a resolver asked for the viewer without a slot: then every viewer needs an execution of their own. */
  isPersonal: boolean;
}

const plans = new WeakMap<DocumentNode, Plan>();
let lastPlanId = 0;

export class OperationRenderer implements Renderer, ViewerRenderer {
  readonly #plan: Plan;
  readonly #operation: string;
  readonly #context: Context;
  /** Whether `key` was given out for one viewer only. */
  #isPersonal = false;

  constructor(private readonly app: App, private readonly args: ValidatedSubscriptionArgs) {
    const { document } = args;
    this.#plan = plans.get(document) ??
      { id: ++lastPlanId, cursorVariables: findCursorVariables(document), isPersonal: false };
    plans.set(document, this.#plan);
    this.#context = args.contextValue as Context;
    const variables = Object.entries(args.variableValues.coerced)
      .filter(([name]) => !this.#plan.cursorVariables.has(name))
      .sort(([a], [b]) => a < b ? -1 : 1);
    this.#operation = JSON.stringify([this.#plan.id, args.operation.name?.value, variables]);
  }

  key(): string {
    this.#isPersonal = this.#plan.isPersonal;
    return this.#isPersonal ? `${this.#context.viewer?.userId} ${this.#operation}` : this.#operation;
  }

  async render(value: object, facts: SharedFacts = {}): Promise<Rendered> {
    if (this.#isPersonal) {
      const body = await this.renderForViewer(value);
      return { size: body.length, bodyFor: () => body };
    }
    // Learned in another room: this group is still shared, and must not see through the eyes of one of its members.
    if (this.#plan.isPersonal) throw new NeedsViewer();
    return await this.#renderForAll(value, new SharedContext(this.app, facts));
  }

  async #renderForAll(value: object, context: SharedContext): Promise<Rendered> {
    const result = await this.#execute(value, context);
    if (context.neededViewer) {
      this.#plan.isPersonal = true;
      throw new NeedsViewer();
    }
    this.app.metrics.liveEncodings.inc();
    return encode(result, context.slots);
  }

  async renderForViewer(value: object): Promise<string> {
    const { viewer, ipAddress } = this.#context;
    const result = await this.#execute(value, new ViewerContext(this.app, viewer, ipAddress));
    this.app.metrics.liveEncodings.inc();
    return stringify(result);
  }

  async #execute(value: object, context: Context): Promise<ExecutionResult> {
    this.app.metrics.liveExecutions.inc();
    const result = await executeSubscriptionEvent({ ...this.args, rootValue: value, contextValue: context });
    // While the database is away the events must wait, not arrive as errors.
    const away = result.errors?.map(rootCause).find(isAway);
    if (away) throw away;
    if (context instanceof SharedContext && context.neededViewer) return result;
    const reported = reportResult(this.app, result);
    // A batch without data has no cursor either: the next one would hide that something is missing.
    if (!reported.data) throw new Error("A live batch could not be executed", { cause: reported.errors });
    return reported;
  }
}

/** Encodes once. Slots become marks in the JSON, so that a reader's values go in without encoding the rest again. */
function encode(result: ExecutionResult, slots: readonly ViewerSlot<unknown>[]): Rendered {
  const filled = slots.filter((slot, index) => mark(result.data, slot.path, MARK + index));
  const json = stringify(result);
  if (filled.length === 0) return { size: json.length, bodyFor: () => json };
  const parts = json.split(MARKED);
  let last = { key: "", body: "" }; // most readers in a row have the same values
  return {
    size: json.length,
    bodyFor(reader: Reader) {
      // `split` with a group puts the slot's number between the pieces.
      const filledParts = parts.map((part, index) =>
        index % 2 === 0 ? part : JSON.stringify(slots[Number(part)]?.fill(reader))
      );
      const key = filledParts.filter((_, index) => index % 2 === 1).join();
      if (last.body === "" || last.key !== key) last = { key, body: filledParts.join("") };
      return last.body;
    },
  };
}

function stringify(result: ExecutionResult): string {
  return JSON.stringify(result.errors ? { ...result, errors: formatErrors(result.errors) } : result);
}

// Postgres stores no U+0000, so nothing that people write can look like a mark.
const MARK = "\u0000slot:";
const MARKED = /"\\u0000slot:(\d+)"/;

/** Puts the mark at the path; false where an error has made a parent of it null. */
function mark(data: unknown, path: FieldPath, text: string): boolean {
  const parent = path.prev === undefined ? data : valueAt(data, path.prev);
  if (typeof parent !== "object" || parent === null || !(path.key in parent)) return false;
  (parent as Record<string | number, unknown>)[path.key] = text;
  return true;
}

function valueAt(data: unknown, path: FieldPath): unknown {
  const parent = path.prev === undefined ? data : valueAt(data, path.prev);
  return typeof parent === "object" && parent !== null
    ? (parent as Record<string | number, unknown>)[path.key]
    : undefined;
}

/** Variables used for nothing but an argument `after` of a root field. */
function findCursorVariables(document: DocumentNode): ReadonlySet<string> {
  const cursors = new Map<string, number>();
  const uses = new Map<string, number>();
  let depth = 0;
  visit(document, {
    VariableDefinition: () => false,
    FragmentDefinition: { enter: () => void depth++, leave: () => void depth-- }, // what is in there is not at the root
    SelectionSet: { enter: () => void depth++, leave: () => void depth-- },
    Argument: ({ name, value }) => {
      if (depth === 1 && name.value === "after" && value.kind === Kind.VARIABLE) count(cursors, value.name.value);
    },
    Variable: ({ name }) => count(uses, name.value),
  });
  return new Set([...cursors].filter(([name, times]) => uses.get(name) === times).map(([name]) => name));
}

function count(times: Map<string, number>, name: string): void {
  times.set(name, (times.get(name) ?? 0) + 1);
}
