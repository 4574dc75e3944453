/** What the disk refuses, in the words of an expected failure. */
import { storageAway } from "./files.ts";

const FULL = ["ENOSPC", "EDQUOT"];

/** Throws UNAVAILABLE where the disk fails or is full: it is none of the caller's doing. */
export async function onDisk<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw storageAway(FULL.includes(code) ? "the disk is full" : "the disk fails", error);
  }
}

/** A single `write` may take less. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** `null` where the path leads to nothing. */
export async function ifThere<T>(act: Promise<T>): Promise<T | null> {
  return await act.catch((error) => {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  });
}
