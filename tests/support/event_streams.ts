/** Following a room over Server-Sent Events. */
import type { Any, Api, Person, TestRoom } from "./app.ts";
import { ROOM_EVENTS } from "./follow.ts";

/** One subscription over SSE, result by result. Disposing it hangs up. */
export class EventStream implements AsyncDisposable {
  private constructor(
    /** Of the answer; 200 where the stream has begun. */
    readonly status: number,
    /** Every result; ends with the stream. */
    readonly results: AsyncGenerator<Any>,
    private readonly body: ReadableStreamDefaultReader<Uint8Array>,
  ) {}

  static async open(app: Pick<Api, "url">, as: Person, body: object): Promise<EventStream> {
    const response = await fetch(app.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "text/event-stream",
        authorization: `Bearer ${as.token}`,
      },
      body: JSON.stringify(body),
    });
    if (response.body === null) throw new Error("The answer has no body");
    const reader = response.body.getReader();
    return new EventStream(response.status, readResults(reader), reader);
  }

  static follow(
    app: Pick<Api, "url">,
    as: Person,
    room: Pick<TestRoom, "id">,
    after: string | null = null,
  ): Promise<EventStream> {
    return EventStream.open(app, as, { query: ROOM_EVENTS, variables: { roomId: room.id, after } });
  }

  /** The next result; fails when the stream has ended. */
  async next(): Promise<Any> {
    const { value, done } = await this.results.next();
    if (done) throw new Error("The stream has ended");
    return value;
  }

  /** Events until `count` of them have come, or until the stream ends. */
  async take(count: number): Promise<Any[]> {
    const events: Any[] = [];
    while (events.length < count) {
      const { value, done } = await this.results.next();
      if (done) break;
      events.push(...value.data.roomEvents.events);
    }
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.body.cancel();
    await this.results.return(undefined);
  }
}

async function* readResults(body: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Any> {
  const decoder = new TextDecoder();
  let text = "";
  while (true) {
    const { value, done } = await body.read();
    if (done) return;
    const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, data] = /^event: next\ndata: (.*)$/s.exec(block) ?? [];
      if (data !== undefined) yield JSON.parse(data);
    }
  }
}
