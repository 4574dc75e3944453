/** Watching photos appear. */
import type { Client } from "graphql-ws";
import type { Any, Api, Person, TestRoom } from "./app.ts";
import { connectForLong } from "./steady_chat.ts";

const FOLLOW = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { events {
  ... on MessageSentEvent { message { attachments { id status } } }
  ... on AttachmentProcessedEvent { attachment { id status } }
} } }`;

/** When which photo could be seen, as a subscriber learns of it. */
export class PhotoWatcher implements AsyncDisposable {
  readonly #readyAtMs = new Map<string, PromiseWithResolvers<number>>();

  private constructor(private readonly client: Client) {}

  static async open(api: Api, as: Person, { id }: TestRoom): Promise<PhotoWatcher> {
    const watcher = new PhotoWatcher(connectForLong(api, as));
    const { promise: live, resolve, reject } = Promise.withResolvers<void>();
    watcher.client.subscribe<Any>({ query: FOLLOW, variables: { roomId: id } }, {
      next({ data }) {
        resolve();
        for (const { message, attachment } of data.roomEvents.events) {
          for (const each of message?.attachments ?? [attachment]) watcher.#see(each);
        }
      },
      error: reject,
      complete: () => {},
    });
    await live;
    return watcher;
  }

  ready(attachmentId: string): Promise<number> {
    return this.#entry(attachmentId).promise;
  }

  #see(attachment: Any): void {
    if (attachment?.status === "READY") this.#entry(attachment.id).resolve(performance.now());
    if (attachment?.status === "FAILED") this.#entry(attachment.id).reject(new Error("A photo has failed"));
  }

  #entry(attachmentId: string): PromiseWithResolvers<number> {
    const entry = this.#readyAtMs.get(attachmentId) ?? Promise.withResolvers<number>();
    this.#readyAtMs.set(attachmentId, entry);
    return entry;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.dispose();
  }
}
