/** Uploading as clients do: GraphQL multipart requests (https://github.com/jaydenseric/graphql-multipart-request-spec). */
import { strict as assert } from "node:assert";
import { findId } from "../../src/lib/ids.ts";
import type { Answer, Any, Api, Person, TestApp, TestRoom } from "./app.ts";
import { eventually } from "./eventually.ts";
import { done } from "./mutations.ts";
import { pathsBelow } from "./storages.ts";

export interface TestFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the client says that it is. */
  readonly type?: string;
}

export function textFile(name: string, text: string): TestFile {
  return { name, bytes: new TextEncoder().encode(text), type: "text/plain" };
}

/** The form of a request whose files go to these paths. */
function multipart(operations: object, files: Readonly<Record<string, TestFile>>): FormData {
  const form = new FormData();
  form.set("operations", JSON.stringify(operations));
  form.set("map", JSON.stringify(Object.fromEntries(Object.keys(files).map((path, index) => [index, [path]]))));
  Object.values(files).forEach(({ name, bytes, type = "" }, index) =>
    form.set(String(index), new File([bytes], name, { type }))
  );
  return form;
}

/** Sends an operation with files to these paths. */
export async function postFiles(
  { url }: Pick<Api, "url">,
  { query, variables, files }: {
    readonly query: string;
    readonly variables: object;
    readonly files: Readonly<Record<string, TestFile>>;
  },
  as?: Person,
): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { accept: "application/graphql-response+json", ...as && { authorization: `Bearer ${as.token}` } },
    body: multipart({ query, variables }, files),
  });
  return { status: response.status, body: await response.json() };
}

const UPLOAD = `mutation ($input: UploadAttachmentsInput!) {
  uploadAttachments(input: $input) {
    attachments { id filename mediaType mediaKind byteSize status url image { width height thumbhash } message { id } }
    errors { __typename code message path ... on InvalidInputError { limit } }
  }
}`;

/** The payload of `uploadAttachments` for these files. */
export async function upload(api: Api, as: Person, room: Pick<TestRoom, "id">, ...files: TestFile[]): Promise<Any> {
  const { body } = await postFiles(api, {
    query: UPLOAD,
    variables: { input: { roomId: room.id, files: files.map(() => null) } },
    files: Object.fromEntries(files.map((file, index) => [`variables.input.files.${index}`, file])),
  }, as);
  assert.equal(body.errors, undefined, JSON.stringify(body.errors));
  return body.data.uploadAttachments;
}

/** Uploads files that have to be taken; their ids. */
export async function uploaded(
  api: Api,
  as: Person,
  room: Pick<TestRoom, "id">,
  ...files: TestFile[]
): Promise<string[]> {
  const { attachments, errors } = await upload(api, as, room, ...files);
  assert.deepEqual(errors, []);
  return attachments.map(({ id }: Any) => id);
}

/** Uploads a small text and returns its id; nobody else sees it yet. */
export async function uploadText(api: Api, as: Person, room: Pick<TestRoom, "id">, text = "Hello"): Promise<string> {
  const [id = ""] = await uploaded(api, as, room, textFile("hello.txt", text));
  return id;
}

/** Sends a message with nothing but a small text file, and returns the id of the file. */
export async function shareFile(api: Api, as: Person, room: Pick<TestRoom, "id">, text = "Hello"): Promise<string> {
  const id = await uploadText(api, as, room, text);
  await done(api, "sendMessage", { roomId: room.id, attachmentIds: [id] }, as);
  return id;
}

/** Paths of all that the app has stored on its disk. */
export async function storedFiles({ app }: TestApp): Promise<string[]> {
  const paths = await pathsBelow(`${app.config.dataDir}/files`);
  return paths.filter((path) => !path.endsWith("/"));
}

/** What counts for the quota of the person. */
export async function storedBytes({ app }: TestApp, { id }: Person): Promise<number> {
  const [user] = await app.sql<Any[]>`select stored_bytes from users where id = ${findId("user", id)}`;
  return user.storedBytes;
}

/** Waits until all files are deleted, of whomever. */
export async function untilNothingStored(app: TestApp): Promise<void> {
  await eventually("nothing is stored", async () => {
    const [{ count }] = await app.app.sql<[{ count: number }]>`select count(*)::int as count from files`;
    return count === 0 && (await storedFiles(app)).length === 0;
  });
}

/** A URL that the API gave, where the server under test listens. */
export function reachable({ url }: Pick<Api, "url">, given: string): string {
  const { pathname, search } = new URL(given);
  return new URL(pathname + search, url).href;
}
