/** The code itself, read as text: which file imports what. */
import { dirname, join } from "node:path";

export const ROOT = new URL("../../", import.meta.url).pathname;

export interface CodeFile {
  /** From the top of the checkout. */
  readonly path: string;
  readonly lines: readonly string[];
  /** Paths from the top of the checkout, and names of packages. */
  readonly imports: readonly string[];
  /** Those of them whose names it exports again. */
  readonly passesOn: readonly string[];
}

const STATIC = /^(import|export)\s(?:[\w$*\s,{}]*?\bfrom\s+)?"([^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"([^"]+)"/g;

/** All code in these folders of the checkout. */
export async function readCode(folders: readonly string[]): Promise<CodeFile[]> {
  const found: CodeFile[] = [];
  for (const folder of folders) {
    for (const path of await listCode(folder)) {
      const text = await Deno.readTextFile(join(ROOT, path));
      const resolve = (target = "") => target.startsWith(".") ? join(dirname(path), target) : target;
      const matches = [...text.matchAll(STATIC)];
      found.push({
        path,
        lines: text.trimEnd().split("\n"),
        imports: [
          ...matches.map(([, , to]) => resolve(to)),
          ...[...text.matchAll(DYNAMIC)].map(([, to]) => resolve(to)),
        ],
        passesOn: matches.filter(([, word]) => word === "export").map(([, , to]) => resolve(to)),
      });
    }
  }
  return found;
}

async function listCode(folder: string): Promise<string[]> {
  const found: string[] = [];
  const entries = await Array.fromAsync(Deno.readDir(join(ROOT, folder))).catch(() => []); // not every folder is there yet
  for (const { name, isDirectory } of entries) {
    if (isDirectory) found.push(...await listCode(join(folder, name)));
    else if (/\.[jt]sx?$/.test(name)) found.push(join(folder, name));
  }
  return found.sort();
}
