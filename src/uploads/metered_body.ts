/** The body of a request, counted while it comes. */
import { AppError } from "../errors.ts";
import { within } from "../platform/timers.ts";

/** Milliseconds without a byte after which a client has gone, whatever its connection says. */
const IDLE_MS_MAX = 30_000;

/** The same bytes, exactly so many. Takes none before it is asked for it. Breaks off with FILE_TOO_LARGE at the first byte too
 * many, and with INVALID_INPUT where it ends before its time or nothing comes any more. */
export function meterBody(
  body: ReadableStream<Uint8Array> | null,
  { byteSize, idleMs = IDLE_MS_MAX }: { readonly byteSize: number; readonly idleMs?: number },
): ReadableStream<Uint8Array> {
  const reader = (body ?? new Blob().stream()).getReader();
  let left = byteSize;
  return new ReadableStream({
    async pull(controller) {
      const chunk = await nextChunk(reader, idleMs);
      left -= chunk?.length ?? 0;
      if (left < 0) {
        await reader.cancel();
        throw moreThanAnnounced(byteSize);
      }
      if (chunk === null && left > 0) throw brokenOff(`${left} bytes are missing`);
      if (chunk === null) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

export function moreThanAnnounced(limit: number): AppError {
  return new AppError("FILE_TOO_LARGE", `Cannot take the file: more comes than the ${limit} bytes announced`, {
    limit,
  });
}

async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>, idleMs: number): Promise<Uint8Array | null> {
  const read = reader.read().catch((cause) => {
    throw brokenOff("the connection was lost", cause);
  });
  const next = await within(idleMs, read);
  if (next !== null) return next.done ? null : next.value;
  const error = brokenOff("nothing more came");
  await reader.cancel(error);
  throw error;
}

function brokenOff(state: string, cause?: unknown): AppError {
  return new AppError("INVALID_INPUT", `Cannot take the file: ${state}; what came is kept`, { cause });
}
