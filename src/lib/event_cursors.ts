/** Positions in a room's event log: `<epoch>.<seq>`. The epoch changes when a log is begun anew (a restored backup). */
import { AppError } from "../errors.ts";

const CURSOR = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9][0-9]{0,14})$/;

export interface EventCursor {
  readonly epoch: string;
  readonly seq: number;
}

export function encodeEventCursor(epoch: string, seq: number): string {
  return `${epoch}.${seq}`;
}

/** Throws BAD_USER_INPUT when the text was never a cursor of this server. */
export function parseEventCursor(text: string): EventCursor {
  const [, epoch, seq] = CURSOR.exec(text) ?? [];
  if (epoch === undefined || seq === undefined) {
    throw new AppError("BAD_USER_INPUT", "Cannot read the cursor: it is not one that this server gave out");
  }
  return { epoch, seq: Number(seq) };
}
