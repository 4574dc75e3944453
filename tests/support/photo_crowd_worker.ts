/** Many photos at once, from a thread of their own: whoever measures something else meanwhile is not held up by sending them. */
import type { Api, Person } from "./app.ts";
import { uploadPhoto } from "./photos.ts";

interface Crowd {
  readonly url: string;
  readonly people: readonly Person[];
  readonly form: Uint8Array;
}

/** Uploads one photo of everybody in the same moment; ids of the attachments. */
export async function uploadAtOnce({ url }: Api, people: readonly Person[], form: Uint8Array): Promise<string[]> {
  const worker = new Worker(import.meta.url, { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<string[]>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage({ url, people, form } satisfies Crowd);
  try {
    return await promise;
  } finally {
    worker.terminate();
  }
}

if ("postMessage" in globalThis) {
  addEventListener("message", async (event) => {
    const { url, people, form }: Crowd = (event as MessageEvent).data;
    const uploads = await Promise.all(people.map((person) => uploadPhoto({ url }, person, form)));
    self.postMessage(uploads.map(({ attachmentId }) => attachmentId));
  });
}
