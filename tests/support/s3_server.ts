/** An S3 server that needs nothing installed: for the files of a test, and gone with it. */
import { join } from "node:path";
import type { S3Config } from "../../src/config.ts";
import { ROOT } from "./code.ts";
import { inheritedEnv, PERMISSIONS } from "./processes.ts";

const BUCKET = "parley";

/** Answers the next request of that method. */
export interface S3Failure {
  readonly method: string;
  /** That has this parameter. (Default: any) */
  readonly part?: "uploads" | "uploadId" | "partNumber";
  readonly status: number;
  readonly code: string;
  /** Does what it is asked before. (Default: false) */
  readonly isAfterwards?: boolean;
}

export class S3Server implements AsyncDisposable {
  private constructor(
    readonly config: S3Config,
    private readonly directory: string,
    private readonly child: Deno.ChildProcess,
    private readonly input: WritableStreamDefaultWriter<Uint8Array>,
    private readonly output: ReadableStreamDefaultReader<string>,
  ) {}

  static async start(): Promise<S3Server> {
    const directory = await Deno.makeTempDir();
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--no-check", "--allow-sys", ...PERMISSIONS],
        ...[join(ROOT, "tests/support/s3_main.ts"), directory, BUCKET],
      ],
      clearEnv: true,
      env: inheritedEnv(),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value: port = "" } = await output.read();
    const config: S3Config = {
      endpoint: `http://127.0.0.1:${Number(port)}`,
      bucket: BUCKET,
      region: "us-east-1",
      accessKeyId: "S3RVER",
      secretAccessKey: "S3RVER",
    };
    return new S3Server(config, directory, child, child.stdin.getWriter(), output);
  }

  get port(): number {
    return Number(new URL(this.config.endpoint).port);
  }

  /** What the server is configured with to keep its files here. */
  get env(): Record<string, string> {
    const { endpoint, bucket, region, accessKeyId, secretAccessKey } = this.config;
    return {
      S3_ENDPOINT: endpoint,
      S3_BUCKET: bucket,
      S3_REGION: region,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
    };
  }

  async fail(failure: S3Failure): Promise<void> {
    await this.input.write(new TextEncoder().encode(`${JSON.stringify(failure)}\n`));
    await this.output.read();
  }

  /** How much it holds that belongs to no file: uploads that are neither completed nor aborted, and halves. */
  async countLeftovers(): Promise<number> {
    let count = 0;
    for await (const { name, isFile } of Deno.readDir(this.directory)) if (isFile && name) count++;
    try {
      for await (const _upload of Deno.readDir(join(this.directory, BUCKET, "._S3rver_uploads"))) count++;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // there was never one
    }
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.input.close();
    await this.child.status;
    await this.output.cancel();
    await Deno.remove(this.directory, { recursive: true });
  }
}
