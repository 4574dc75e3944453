/** Work that must be done although the process that was asked for it may die: queues in the database (pg-boss), in a schema
 * of their own. A job is a key and a few ids; what it is about is in the tables. */
import type { Bus } from "./bus.ts";
import { type JobStore, openJobStore } from "./job_store.ts";
import type { Log } from "./log.ts";
import { type DatabaseAddress, isAway, type Sql } from "./sql.ts";
import { oneAtATime, repeat, within } from "./timers.ts";

/** A job that fails is tried again twice, a little later each time. */
const RETRIES = { retryLimit: 2, retryDelay: 1, retryBackoff: true, retryDelayMax: 30 } as const;
/** After that long without a sign of life a job is somebody else's; whoever works on it gives one in half of the time. */
const HEARTBEAT_SECONDS = 10;
/** No job takes this long, also where the storage is slow. */
const EXPIRE_SECONDS = 300;
/** What is done, or was given up, is kept for looking into it. */
const KEEP_SECONDS = 3_600;
/** Between two looks for jobs that nobody has told of: retries, and those of nodes whose hint was lost. */
const POLL_SECONDS = 2;
/** Between two looks for jobs whose worker has died. */
const SUPERVISE_MS = 5_000;
const START_AGAIN_MS = 2_000;
/** How long the end of a worker waits for what it is at, and that of the store for its connections. */
const STOP_MS_MAX = 5_000;
/** Between two lines of the log while the database is away. */
const WARN_AGAIN_MS = 60_000;

export interface JobsParts {
  readonly address: DatabaseAddress;
  readonly sql: Sql;
  readonly bus: Bus;
  readonly log: Log;
}

export interface WorkOptions<Data> {
  /** Jobs at a time. */
  readonly concurrency: number;
  /** Does what is left to do for a job of which every try has failed; called like the handler, with the same guarantees. */
  readonly onExhausted: JobHandler<Data>;
}

/** At least once, on any node, never twice at a time while its process lives. Rejecting means that the job is tried again,
 * or that the tries are used up. */
export type JobHandler<Data> = (data: Data) => Promise<void>;

export class Jobs implements AsyncDisposable {
  #store: Promise<JobStore> | null = null;
  readonly #queues = new Map<string, Promise<void>>();
  #warnedAtMs = -Infinity;

  constructor(private readonly parts: JobsParts) {}

  /** Resolves once the job is safe; does nothing where one with that key waits or is worked on. Data must survive JSON. */
  async send(queue: string, key: string, data: object): Promise<void> {
    const store = await this.#openQueue(queue);
    await store.send(queue, data, { singletonKey: key });
    this.parts.bus.publish(wakeTopic(queue), {}); // workers look at once, here and on the other nodes
  }

  /** Works on the queue until it is disposed, which waits a while for what is being worked on. While the database is away it
   * waits. */
  work<Data extends object>(
    queue: string,
    handler: JobHandler<Data>,
    { concurrency, onExhausted }: WorkOptions<Data>,
  ): AsyncDisposable {
    const { promise: end, resolve: stop } = Promise.withResolvers<true>();
    const begin = async () => {
      do {
        try {
          return await this.#begin([
            { queue, handler, concurrency },
            { queue: deadQueue(queue), handler: onExhausted, concurrency: 1 },
          ]);
        } catch (error) {
          this.#report(error);
        }
      } while (!await within(START_AGAIN_MS, end));
      return null;
    };
    const begun = begin();
    return {
      async [Symbol.asyncDispose]() {
        stop(true);
        await (await begun)?.[Symbol.asyncDispose]();
      },
    };
  }

  /** Of the jobs that wait or are worked on, given up ones among them until they are handled. */
  async listKeys(queue: string): Promise<Set<string>> {
    const rows = await this.parts.sql<{ key: string }[]>`
      select singleton_key as key
      from pgboss.job
      where name in (${queue}, ${deadQueue(queue)})
        and state < 'completed'
        and singleton_key is not null`;
    return new Set(rows.map(({ key }) => key));
  }

  /** Workers have to be disposed before. */
  async [Symbol.asyncDispose](): Promise<void> {
    const store = await this.#store?.catch(() => null);
    this.#store = null;
    if (!store) return;
    const stopped = store.stop({ graceful: false }).then(() => true, (error) => this.#report(error));
    if (await within(STOP_MS_MAX, stopped) === null) this.parts.log.warn("The store of jobs did not close in time");
  }

  async #begin<Data extends object>(
    workers: readonly { queue: string; handler: JobHandler<Data>; concurrency: number }[],
  ): Promise<AsyncDisposable> {
    await using stack = new AsyncDisposableStack();
    for (const { queue, handler, concurrency } of workers) {
      const store = await this.#openQueue(workers[0]?.queue ?? queue);
      const ids: string[] = [];
      const wake = () => ids.forEach((id) => store.notifyWorker(id));
      // One after the other, until there is none: after each the worker looks again at once.
      const work = async ([job]: readonly { readonly id: string; readonly data: Data }[]) => {
        wake();
        if (!job) return;
        await handler(job.data).catch((error) => {
          this.parts.log.warn("A job has failed", { queue, job: job.id, error });
          throw error;
        });
      };
      stack.defer(async () => {
        const stopped = Promise.all(ids.map((id) => store.offWork(queue, { id, wait: true })));
        await within(STOP_MS_MAX, stopped);
      });
      for (let each = 0; each < concurrency; each++) {
        ids.push(await store.work<Data>(queue, { pollingIntervalSeconds: POLL_SECONDS }, work));
      }
      stack.defer(await this.parts.bus.subscribe(wakeTopic(queue), wake));
    }
    const store = await this.#open();
    const supervise = oneAtATime(() => store.supervise().catch((error) => this.#report(error)));
    stack.use(repeat(SUPERVISE_MS, () => void supervise()));
    return stack.move();
  }

  /** Opened by whoever needs it first, and again after a failure. */
  #open(): Promise<JobStore> {
    this.#store ??= openJobStore(this.parts, (error) => this.#report(error)).catch((error) => {
      this.#store = null;
      throw error;
    });
    return this.#store;
  }

  async #openQueue(queue: string): Promise<JobStore> {
    const store = await this.#open();
    const made = this.#queues.get(queue) ?? makeQueue(store, queue);
    this.#queues.set(queue, made);
    await made.catch((error) => {
      this.#queues.delete(queue);
      throw error;
    });
    return store;
  }

  #report(error: unknown): void {
    const now = performance.now();
    if (now - this.#warnedAtMs < WARN_AGAIN_MS) return;
    this.#warnedAtMs = now;
    this.parts.log.warn("The store of jobs is in trouble", isAway(error) ? { state: String(error) } : { error });
  }
}

function wakeTopic(queue: string): string {
  return `jobs:${queue}`;
}

function deadQueue(queue: string): string {
  return `${queue}_exhausted`;
}

async function makeQueue(store: JobStore, queue: string): Promise<void> {
  const common = {
    policy: "exclusive",
    heartbeatSeconds: HEARTBEAT_SECONDS,
    expireInSeconds: EXPIRE_SECONDS,
    deleteAfterSeconds: KEEP_SECONDS,
    retryBackoff: true,
  } as const;
  // What is left to do for a job that was given up has to succeed some time.
  await store.createQueue(deadQueue(queue), { ...common, retryLimit: 1_000, retryDelay: 5, retryDelayMax: 300 });
  await store.createQueue(queue, { ...common, ...RETRIES, deadLetter: deadQueue(queue) });
}
