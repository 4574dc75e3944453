/** Files in a conversation, the same for every client library: two at once of which one is refused, a message with the other,
 * an avatar, and a large one on its own over a connection that breaks. */
import { strict as assert } from "node:assert";
import { type Any, startApp } from "./app.ts";
import type { Setup } from "./chats.ts";
import { eventually } from "./eventually.ts";
import { makePhonePhoto } from "./image_bytes.ts";
import { operation } from "./operations.ts";
import { Wire } from "./wires.ts";

/** A client library as an app would set it up. */
export interface SharingClient extends AsyncDisposable {
  /** Runs a mutation, whose variables may hold files, and returns its data. */
  run(document: string, variables: object): Promise<Any>;
}

const AVATAR = `mutation Avatar($input: UpdateAvatarInput!) {
  updateAvatar(input: $input) { user { id avatar { url(size: SMALL) width } } errors { code path } }
}`;
const ANNOUNCE = `mutation Announce($input: CreateUploadInput!) {
  createUpload(input: $input) { attachmentId url expiresAt errors { code path } }
}`;

/** Shares files with the client that `open` sets up. */
export async function shareWith(open: (setup: Setup) => SharingClient): Promise<void> {
  await using app = await startApp({ IMAGE_WORKERS: "1" });
  await using wire = await Wire.to(app.parley.server.port);
  const alice = await app.signUp("alice");
  const { id: roomId } = await app.makeRoom(alice);
  await using client = open({ url: wire.url, socketUrl: wire.socketUrl, token: () => alice.token });
  const send = async (attachmentId: string, content: string) => {
    const { sendMessage } = await client.run(operation("SendMessage"), {
      input: { roomId, content, attachmentIds: [attachmentId] },
    });
    assert.deepEqual(sendMessage.errors, []);
    return sendMessage.messageEdge.node.attachments;
  };

  const files = [new File(["no image"], "page.png", { type: "image/png" }), new File(["Hello"], "notes.txt")];
  const { uploadAttachments } = await client.run(operation("Upload"), { input: { roomId, files } });
  assert.deepEqual(uploadAttachments.errors.map(({ code, path }: Any) => [code, ...path]), [
    ["UNSUPPORTED_MEDIA_TYPE", "files", "0"],
  ]);
  const [notes, ...others] = uploadAttachments.attachments;
  assert.deepEqual([notes.filename, notes.status, others], ["notes.txt", "READY", []]);
  const [shown] = await send(notes.id, "Read this");
  assert.equal(shown.id, notes.id);
  assert.equal(await (await fetch(wire.rewrite(shown.url))).text(), "Hello");

  const photo = new File([new Uint8Array(await makePhonePhoto())], "me.jpg", { type: "image/jpeg" });
  const { updateAvatar } = await client.run(AVATAR, { input: { file: photo } });
  assert.deepEqual(updateAvatar.errors, []);
  const picture = await fetch(wire.rewrite(updateAvatar.user.avatar.url));
  assert.deepEqual([picture.status, picture.headers.get("content-type")], [200, "image/webp"]);
  await picture.body?.cancel();

  const film = new File([filmBytes()], "film.mp4");
  const { createUpload } = await client.run(ANNOUNCE, {
    input: { roomId, filename: film.name, byteSize: film.size },
  });
  assert.deepEqual(createUpload.errors, []);
  const url = wire.rewrite(createUpload.url);
  await loseConnection(wire, url, film);
  const { attachmentId, status } = await sendFile(url, film);
  assert.deepEqual([attachmentId, status], [createUpload.attachmentId, "READY"]);
  const [shownFilm] = await send(attachmentId, "Watch this");
  assert.equal(shownFilm.byteSize, film.size);
  assert.deepEqual(await (await fetch(wire.rewrite(shownFilm.url))).bytes(), await film.bytes());
}

/** Sends a file in one request; on after one that broke, from where the server has it. As an app does it, and the README says. */
async function sendFile(url: string, file: File): Promise<Any> {
  while (true) {
    const from = await offsetOf(url);
    const range = from < file.size ? `${from}-${file.size - 1}` : "*";
    const response = await fetch(url, {
      method: "PUT",
      headers: from === 0 ? {} : { "content-range": `bytes ${range}/${file.size}` },
      body: file.slice(from),
    });
    const answer = await response.json();
    if (response.ok) return answer;
    assert.equal(response.status, 409, JSON.stringify(answer)); // more was safe than the server knew just now
  }
}

async function offsetOf(url: string): Promise<number> {
  const { headers } = await fetch(url, { method: "HEAD" });
  return Number(headers.get("upload-offset"));
}

/** Sends half of the file, and then the network is gone. */
async function loseConnection(wire: Wire, url: string, file: File): Promise<void> {
  const half = await file.slice(0, file.size / 2).bytes();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(half),
    pull: () => new Promise(() => {}),
  });
  const broken = assert.rejects(fetch(url, { method: "PUT", body }), TypeError);
  await eventually("some of it is safe", async () => await offsetOf(url) > 0);
  wire.cut();
  await broken;
}

/** Ten megabytes in which nothing repeats: a part in the wrong place is seen. */
function filmBytes(): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(Array.from({ length: 1_000_000 }, (_, n) => `${n}`.padStart(9)).join("\n"));
}
