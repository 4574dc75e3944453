/** Positions in what a viewer is told: `<epoch>.<seq>.<announcement>.<xid>`. The viewer's own log and that of announcements
 * are numbered; news of rooms are found by the transactions that made them: all before `xid` were told. */
import { AppError } from "../errors.ts";

const CURSOR =
  /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})\.([1-9][0-9]{0,18})$/;

export interface ViewerPosition {
  readonly epoch: string;
  /** Number of the last event of the viewer's log. */
  readonly seq: number;
  /** Number of the last announcement event. */
  readonly announcementSeq: number;
  /** Transaction id, too large for a `number`. */
  readonly xid: string;
}

export function encodeViewerCursor({ epoch, seq, announcementSeq, xid }: ViewerPosition): string {
  return `${epoch}.${seq}.${announcementSeq}.${xid}`;
}

/** Throws BAD_USER_INPUT when the text was never a cursor of this server. */
export function parseViewerCursor(text: string): ViewerPosition {
  const [, epoch, seq, announcementSeq, xid] = CURSOR.exec(text) ?? [];
  // Above 2^63 - 1 Postgres would refuse it later, with an error of its own.
  if (epoch === undefined || xid === undefined || BigInt(xid) >= 2n ** 63n) {
    throw new AppError("BAD_USER_INPUT", "Cannot read the cursor: it is not one that this server gave out");
  }
  return { epoch, seq: Number(seq), announcementSeq: Number(announcementSeq), xid };
}
