/** The ids of the naive chat, which counts its messages: the harness knows messages by the ids of Parley. */
import { encodeId } from "../../src/lib/ids.ts";

export function naiveMessageId(id: number): string {
  return encodeId("message", `00000000-0000-7000-8000-${id.toString(16).padStart(12, "0")}`);
}
