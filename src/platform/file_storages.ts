/** Which storage holds the files. */
import type { Config } from "../config.ts";
import type { Files } from "./files.ts";
import { openDiskFiles } from "./files_disk.ts";
import { openS3Files } from "./files_s3.ts";

/** The storage that the configuration names. */
export function openFiles(config: Config): Files {
  return config.s3 === null ? openDiskFiles(config.dataDir) : openS3Files(config.s3);
}
