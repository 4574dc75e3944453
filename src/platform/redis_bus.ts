/** The bus of several nodes. Listeners on this node are called directly, those on others through Redis pub/sub, which may
 * lose what it is given: then whoever listens is told to ask the database. Nobody ever waits for Redis for long. */
import { createRedisEventTarget } from "@graphql-yoga/redis-event-target";
import { type Bus, type BusListener, MemoryBus } from "./bus.ts";
import type { Log } from "./log.ts";
import { openRedis, type Redis } from "./redis.ts";
import { Channels, Publisher } from "./redis_clients.ts";
import { within } from "./timers.ts";

/** How often the way to Redis and back is tried, and how old its last echo may be. */
const PING_MS = 500;
const ECHO_MS_MAX = 1_500;
/** A connection that has been silent for so long is opened anew: its other end may be gone without a word. */
const SILENT_MS_MAX = 5_000;
/** How long a start waits for Redis before it goes on without. */
const START_MS = 2_000;
/** Tells all nodes that hints were lost. */
const LOST_TOPIC = "lost";

/** What goes over a channel. */
interface Envelope {
  /** The bus that it comes from. */
  readonly from: string;
  readonly message: unknown;
}

export interface RedisBusOptions {
  readonly url: string;
  /** Begins the names of all channels. */
  readonly prefix: string;
  readonly log: Log;
}

interface Relay {
  listeners: number;
  readonly attached: Promise<void>;
  readonly stop: () => void;
}

export class RedisBus implements Bus {
  readonly #id = crypto.randomUUID();
  readonly #local: MemoryBus;
  readonly #prefix: string;
  readonly #log: Log;
  readonly #connections = new AsyncDisposableStack();
  readonly #publisher: Publisher;
  readonly #channels: Channels;
  readonly #target: ReturnType<typeof createRedisEventTarget>;
  readonly #relays = new Map<string, Relay>();
  readonly #doubters = new Set<() => void>();
  #isHealthy = false;
  #isClosed = false;
  #pingMs = 0;
  #latencyMs: number | null = null;
  /** When the last ping came back. */
  #echoMs = -Infinity;
  #checkMs = performance.now();
  /** Since when there has been no echo, or no other try to connect. */
  #silentMs = performance.now();

  private constructor({ url, prefix, log }: RedisBusOptions) {
    this.#local = new MemoryBus(log);
    this.#prefix = prefix;
    this.#log = log;
    const open = (name: string) => this.#connections.use(openRedis(url, { name, log })).client;
    this.#publisher = new Publisher(open("publisher"), () => this.#ping());
    this.#channels = new Channels(open("subscriber"), {
      onAttached: () => this.#ping(),
      onBreak: () => {
        this.#echoMs = -Infinity;
        this.#setHealth(false);
      },
    });
    this.#target = createRedisEventTarget({
      publishClient: this.#publisher as unknown as Redis,
      subscribeClient: this.#channels as unknown as Redis,
      serializer: { stringify: JSON.stringify, parse: parseEnvelope },
    });
    this.#target.addEventListener(this.#pingChannel, () => this.#hearEcho());
    const timer = setInterval(() => this.#check(), PING_MS);
    this.#connections.defer(() => clearInterval(timer));
  }

  /** Waits a moment for Redis, and starts without it rather than not at all. */
  static async open(options: RedisBusOptions): Promise<RedisBus> {
    const bus = new RedisBus(options);
    await bus.subscribe(LOST_TOPIC, () => bus.#doubt());
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = bus.onDoubt(resolve);
    await within(START_MS, promise);
    stop();
    if (!bus.isHealthy) options.log.warn("Redis is away: until it is there, hints from other nodes come late");
    return bus;
  }

  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  get latencyMs(): number | null {
    return this.#isHealthy ? this.#latencyMs : null;
  }

  get listenerCount(): number {
    return this.#local.listenerCount;
  }

  publish(topic: string, message: unknown): void {
    this.#local.publish(topic, message);
    this.#send(this.#channelOf(topic), message);
  }

  async subscribe(topic: string, listener: BusListener): Promise<() => void> {
    const stopLocal = this.#local.listen(topic, listener);
    const relay = this.#relays.get(topic) ?? this.#relay(topic);
    relay.listeners++;
    let isStopped = false;
    if (this.#isHealthy) await relay.attached;
    return () => {
      if (isStopped) return;
      isStopped = true;
      stopLocal();
      if (--relay.listeners > 0) return;
      this.#relays.delete(topic);
      relay.stop();
    };
  }

  onDoubt(listener: () => void): () => void {
    const own = () => listener();
    this.#doubters.add(own);
    return () => this.#doubters.delete(own);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#doubters.clear();
    this.#isClosed = true;
    await this.#connections.disposeAsync();
  }

  get #pingChannel(): string {
    return this.#channelOf(`ping:${this.#id}`);
  }

  #channelOf(topic: string): string {
    return `${this.#prefix}:${topic}`;
  }

  #relay(topic: string): Relay {
    const channel = this.#channelOf(topic);
    const callback = ({ detail }: CustomEvent<Envelope | null>) => {
      if (detail !== null && detail.from !== this.#id) this.#local.publish(topic, detail.message);
    };
    this.#target.addEventListener(channel, callback);
    const stop = () => this.#target.removeEventListener(channel, callback);
    const relay = { listeners: 0, attached: this.#channels.whenAttached(channel), stop };
    this.#relays.set(topic, relay);
    return relay;
  }

  #send(channel: string, message: unknown): void {
    const detail: Envelope = { from: this.#id, message };
    this.#target.dispatchEvent(new CustomEvent(channel, { detail }));
  }

  #ping(): void {
    this.#pingMs = performance.now();
    this.#send(this.#pingChannel, null);
  }

  #hearEcho(): void {
    this.#echoMs = this.#silentMs = performance.now();
    this.#latencyMs = this.#echoMs - this.#pingMs;
    this.#setHealth(true);
  }

  #check(): void {
    const now = performance.now();
    // This node was busy with something else: what has come meanwhile is still to be read.
    const wasBlocked = now - this.#checkMs > 2 * PING_MS;
    this.#checkMs = now;
    if (!wasBlocked) {
      if (now - this.#echoMs > ECHO_MS_MAX) this.#setHealth(false);
      if (now - this.#silentMs > SILENT_MS_MAX) {
        this.#silentMs = now;
        this.#publisher.reconnect();
        this.#channels.reconnect();
      }
    }
    if (this.#publisher.takeLoss()) this.publish(LOST_TOPIC, null);
    this.#ping();
  }

  #setHealth(isHealthy: boolean): void {
    if (isHealthy === this.#isHealthy || this.#isClosed) return;
    this.#isHealthy = isHealthy;
    if (isHealthy) this.#log.info("Redis is there: hints from other nodes arrive");
    else {
      this.#log.warn("Redis is away: the database is asked every 2 s instead of waiting for hints from other nodes");
      this.#channels.giveUp();
    }
    this.#doubt();
  }

  #doubt(): void {
    for (const listener of [...this.#doubters]) {
      try {
        listener();
      } catch (error) {
        this.#log.error("Bus listener failed", { error });
      }
    }
  }
}

function parseEnvelope(text: string): Envelope | null {
  try {
    const envelope = JSON.parse(text);
    return typeof envelope?.from === "string" ? envelope : null;
  } catch {
    return null;
  }
}
