/** What the harness asks of the machine: commands, and the time that things take. */

/** Asks every `everyMs` until the answer is true. False when it never was within `withinMs`. */
export async function becomes(
  isTrue: () => boolean | Promise<boolean>,
  { withinMs, everyMs = 50 }: { readonly withinMs: number; readonly everyMs?: number },
): Promise<boolean> {
  for (const endMs = performance.now() + withinMs; performance.now() < endMs;) {
    if (await isTrue()) return true;
    await pause(everyMs);
  }
  return await isTrue();
}

/** Settles after that time, or when the signal comes, whichever is first. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    resolve();
  });
  return promise;
}

/** Runs a command to its end and returns what it printed. Fails with what it complained of. */
export async function command(name: string, ...args: string[]): Promise<string> {
  const output = await new Deno.Command(name, { args, stdin: "null", stdout: "piped", stderr: "piped" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!output.success) {
    throw new Error(`${name} ${args.join(" ")} failed: ${text(output.stderr) || text(output.stdout)}`);
  }
  return text(output.stdout);
}
