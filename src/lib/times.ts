/** Checks of the instants that clients name. */
import { AppError } from "../errors.ts";

/** The last day that RFC 3339 can write: with an offset, its instants reach into the year 10000. */
const LATEST = Date.UTC(9999, 11, 31);

/** The instant, `null` for one that is over. Throws INVALID_INPUT for one too late to be written. */
export function futureOrNull(field: string, time: Date | null): Date | null {
  if (time === null || time.getTime() <= Date.now()) return null;
  if (time.getTime() > LATEST) {
    throw new AppError("INVALID_INPUT", `Cannot use \`${field}\`: it is too late`, { path: [field] });
  }
  return time;
}

/** The instant. Throws INVALID_INPUT for one that is over, or too late to be written. */
export function requireFuture(field: string, time: Date): Date {
  const future = futureOrNull(field, time);
  if (future === null) {
    throw new AppError("INVALID_INPUT", `Cannot use \`${field}\`: it is in the past`, { path: [field] });
  }
  return future;
}
