/** What `docker-compose.yml` says, read from the file itself: what is tested is what is shipped. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ROOT } from "./code.ts";

export interface Deployment {
  readonly text: string;
  /** As it lies in the container. */
  readonly nginxConfig: string;
  /** The address of each service that has a fixed one. */
  readonly addresses: Readonly<Record<string, string>>;
  /** The one value of this key, without the variables in it; fails when there are several. */
  valueOf(key: string): string;
}

export async function readDeployment(): Promise<Deployment> {
  const text = await Deno.readTextFile(join(ROOT, "docker-compose.yml"));
  const services = text.split(/^ {2}(?=[\w-]+:$)/m);
  const addresses = services.flatMap((service) => {
    const [, address] = /ipv4_address: ([\d.]+)/.exec(service) ?? [];
    return address === undefined ? [] : [[service.slice(0, service.indexOf(":")), address] as const];
  });
  return {
    text,
    nginxConfig: readBlock(text, "content").replaceAll("$$", "$"),
    addresses: Object.fromEntries(addresses),
    valueOf(key) {
      const values = [...text.matchAll(new RegExp(`^ +${key}: ([^#\\n]+)`, "gm"))].map(([, value = ""]) =>
        value.trim()
      );
      assert.equal(new Set(values).size, 1, `${key}: ${values}`);
      return (values[0] ?? "").replace(/\$\{[^}]*\}/g, "");
    },
  };
}

/** A text of several lines, `key: |`, without its indentation. */
function readBlock(yaml: string, key: string): string {
  const [, body = ""] = new RegExp(`^ *${key}: \\|\\n((?: {6}.*\\n|\\n)+)`, "m").exec(yaml) ?? [];
  assert.notEqual(body, "", `there is no ${key}`);
  return body.replace(/^ {6}/gm, "");
}
