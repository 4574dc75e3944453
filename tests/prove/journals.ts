/** What one client has applied, in the order in which it did, and where it would go on. Every kind of client keeps one. */
import type { Any } from "../support/app.ts";

export interface Applied {
  /** Number of the event in its room. */
  readonly seq: number;
  /** Id of the message that was sent; `null` for other events. */
  readonly messageId: string | null;
  readonly atMs: number;
}

/** Selects what a journal keeps. */
const JOURNAL_FIELDS = `cursor events { __typename cursor ... on MessageSentEvent { message { id } } }`;

export const FOLLOW = `subscription ($roomId: ID!, $after: String) {
  roomEvents(roomId: $roomId, after: $after) { ${JOURNAL_FIELDS} }
}`;

export class Journal {
  readonly applied: Applied[] = [];
  /** The server said that it cannot honour the cursor: no row does anything that allows it to. */
  resyncs = 0;
  #cursor: string;
  /** Number of the last event before the first one that belongs here. */
  readonly from: number;

  constructor(cursor: string) {
    this.#cursor = cursor;
    this.from = numberOf(cursor);
  }

  /** The newest one: where the client goes on. */
  get cursor(): string {
    return this.#cursor;
  }

  get position(): number {
    return numberOf(this.#cursor);
  }

  /** Takes a batch as it came, without any check: that is the promise. */
  apply({ cursor, events }: { readonly cursor: string; readonly events: readonly Any[] }): void {
    const atMs = performance.now();
    for (const event of events) {
      if (event.__typename === "RoomResyncEvent") this.resyncs++;
      else this.applied.push({ seq: numberOf(event.cursor), messageId: event.message?.id ?? null, atMs });
    }
    this.#cursor = cursor;
  }
}

export function numberOf(cursor: string): number {
  return Number(cursor.slice(cursor.lastIndexOf(".") + 1));
}
