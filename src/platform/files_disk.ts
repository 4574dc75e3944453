/** Files in a directory: of one node, or on a volume that all nodes share. */
import { dirname, join } from "node:path";
import type { Files } from "./files.ts";

export function openDiskFiles(dataDir: string): Files {
  const pathOf = (key: string) => join(dataDir, "files", key.slice(0, 2), key);
  return {
    async store(key, body) {
      await Deno.mkdir(dirname(pathOf(key)), { recursive: true });
      using file = await Deno.open(`${pathOf(key)}.part`, { create: true, write: true, truncate: true });
      await body.pipeTo(file.writable, { preventClose: true });
      await Deno.rename(`${pathOf(key)}.part`, pathOf(key));
    },
    async read(key) {
      const file = await Deno.open(pathOf(key)).catch(() => null);
      return file && file.readable;
    },
    async delete(key) {
      await Deno.remove(pathOf(key)).catch(() => {});
    },
    async abandon(key) {
      await Deno.remove(`${pathOf(key)}.part`).catch(() => {});
    },
    check: () => Promise.resolve(),
  };
}
