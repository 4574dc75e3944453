/** What stands between the event target and Redis: unwrapped, a lost connection or one bad answer would end the process. */
import type { Redis } from "./redis.ts";

/** Channels attached with one command after a break. */
const CHANNELS_AT_ONCE = 1_000;
/** Hints on their way to a Redis that does not take them; what comes on top is lost. */
const PENDING_MAX = 5_000;

/** The client that the event target publishes with: nothing that it is given can fail, or wait without a bound. */
export class Publisher {
  #pending = 0;
  #hasLost = false;

  constructor(private readonly client: Redis, onReady: () => void) {
    client.on("ready", onReady);
  }

  publish(channel: string, text: string): void {
    if (this.client.status !== "ready" || this.#pending >= PENDING_MAX) {
      this.#hasLost = true;
      return;
    }
    this.#pending++;
    this.client.publish(channel, text).then(() => {}, () => this.#hasLost = true).finally(() => this.#pending--);
  }

  /** Whether hints were lost since the last call. Where the word of it is lost as well, the next call says so again. */
  takeLoss(): boolean {
    if (!this.#hasLost || this.client.status !== "ready") return false;
    this.#hasLost = false;
    return true;
  }

  reconnect(): void {
    this.client.disconnect(true);
  }
}

/** The client that the event target subscribes with: attaches to all channels again after every break. */
export class Channels {
  readonly #channels = new Map<string, Attachment>();

  constructor(
    private readonly client: Redis,
    { onAttached, onBreak }: { readonly onAttached: () => void; readonly onBreak: () => void },
  ) {
    client.on("ready", () => void this.#attachAll().then(onAttached));
    client.on("close", onBreak);
  }

  on(event: "message", listener: (channel: string, text: string) => void): void {
    this.client.on(event, listener);
  }

  subscribe(channel: string): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#channels.set(channel, { attached: promise, resolve });
    if (this.client.status === "ready") void this.#attach([channel]);
    else resolve();
  }

  unsubscribe(channel: string): void {
    this.#channels.get(channel)?.resolve();
    this.#channels.delete(channel);
    if (this.client.status === "ready") this.client.unsubscribe(channel).catch(() => {}); // gone with its connection
  }

  /** Resolves when Redis listens, or is given up. */
  async whenAttached(channel: string): Promise<void> {
    await this.#channels.get(channel)?.attached;
  }

  /** Lets go whoever waits for Redis. */
  giveUp(): void {
    for (const { resolve } of this.#channels.values()) resolve();
  }

  reconnect(): void {
    this.client.disconnect(true);
  }

  async #attachAll(): Promise<void> {
    // The oldest last, which is that of the pings: an echo says that all the others are there.
    const channels = [...this.#channels.keys()].reverse();
    const attached: Promise<void>[] = [];
    for (let start = 0; start < channels.length; start += CHANNELS_AT_ONCE) {
      attached.push(this.#attach(channels.slice(start, start + CHANNELS_AT_ONCE)));
    }
    await Promise.all(attached);
  }

  /** Never rejects: a break is told by the missing echo. */
  async #attach(channels: readonly string[]): Promise<void> {
    await this.client.subscribe(...channels).catch(() => {});
    for (const channel of channels) this.#channels.get(channel)?.resolve();
  }
}

interface Attachment {
  readonly attached: Promise<void>;
  readonly resolve: () => void;
}
