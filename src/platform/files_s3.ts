/** Files in a bucket of an S3-compatible storage. */
import type { S3Config } from "../config.ts";
import type { Files } from "./files.ts";

export function openS3Files(_config: S3Config): Files {
  throw new Error("Not there yet");
}
