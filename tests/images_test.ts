/** Promises of images: shown live as soon as they are made, upright and without what the camera noted, to those who may see them. */
import { strict as assert } from "node:assert";
import sharp from "sharp";
import { findId } from "../src/lib/ids.ts";
import { keepProcessing } from "../src/uploads/image_jobs.ts";
import { requireMember } from "../src/rooms/members.ts";
import { updateRoom } from "../src/rooms/settings.ts";
import { deleteUnused } from "../src/uploads/deletions.ts";
import { showAvatar } from "../src/uploads/pictures.ts";
import { givePicture } from "./support/stored_files.ts";
import { type Any, type Person, startApp, type TestApp, type TestRoom } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { makePhonePhoto } from "./support/image_bytes.ts";
import { done } from "./support/mutations.ts";
import { Subscription } from "./support/subscriptions.ts";
import {
  postFiles,
  reachable,
  storedBytes,
  storedFiles,
  type TestFile,
  textFile,
  uploaded,
} from "./support/uploads.ts";

const ATTACHMENT = `id status byteSize mediaType url image {
  width height thumbhash small: url(size: SMALL) medium: url(size: MEDIUM) large: url(size: LARGE) original: url
}`;
const EVENTS = `subscription ($roomId: ID!, $after: String) { roomEvents(roomId: $roomId, after: $after) { events {
  __typename
  actor { id }
  ... on MessageSentEvent { message { id attachments { ${ATTACHMENT} } } }
  ... on AttachmentProcessedEvent { attachment { ${ATTACHMENT} message { id } } }
  ... on RoomUpdatedEvent { room { icon { url width height } } }
} } }`;

Deno.test("a picture is announced at once, and told of again when it can be seen", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const photo = await photoFile();
  const [id = ""] = await uploaded(app, alice, room, photo);
  await using events = followRoom(app, bob, room);
  await done(app, "sendMessage", { roomId: room.id, attachmentIds: [id] }, alice);
  const [sent] = await events.until(isOf("MessageSentEvent")).then(last);
  const [waiting] = sent.message.attachments;
  assert.deepEqual([waiting.status, waiting.byteSize, waiting.image], ["PROCESSING", photo.bytes.length, null]);
  const early = await fetch(reachable(app, waiting.url));
  assert.equal(early.status, 503, "an image is never shown as it came");
  assert.equal((await early.json()).error.code, "UNAVAILABLE");

  app.app.once(keepProcessing);
  const [event] = await events.until(isOf("AttachmentProcessedEvent")).then(last);
  assert.equal(event.actor.id, alice.id);
  const { attachment } = event;
  assert.deepEqual([attachment.id, attachment.status, attachment.message.id], [id, "READY", sent.message.id]);
  assert.deepEqual([attachment.image.width, attachment.image.height], [40, 60], "upright");
  assert.ok(atob(attachment.image.thumbhash).length >= 5);
  for (const [size, side] of [["small", 64], ["medium", 256], ["large", 1024], ["original", 8_000]] as const) {
    const response = await fetch(reachable(app, attachment.image[size]));
    assert.equal(response.status, 200);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { width = 0, height = 0, exif, format } = await sharp(bytes).metadata();
    assert.deepEqual([width <= side, height <= side, width, exif], [true, true, Math.min(40, width), undefined]);
    assert.equal(response.headers.get("content-type"), `image/${format}`);
    assert.match(response.headers.get("content-disposition") ?? "", /^inline; /);
  }
  // What the camera noted is nowhere any more.
  await eventually(
    "the file as it came is deleted",
    async () => !(await storedFiles(app)).some((path) => path.endsWith("upload")),
  );
});

Deno.test("an image that was processed before it is sent is ready in its message, and no event comes after it", async () => {
  await using app = await startApp({ IMAGE_WORKERS: "1" });
  const { alice, bob, room } = await meet(app);
  await using events = followRoom(app, bob, room);
  const [id = ""] = await uploaded(app, alice, room, await photoFile());
  const query = `query ($id: ID!) { node(id: $id) { ... on Attachment { status } } }`;
  await eventually("it is ready", async () => (await app.run(query, { id }, alice)).node.status === "READY");
  await done(app, "sendMessage", { roomId: room.id, attachmentIds: [id] }, alice);
  await app.send(alice, room, "the end");
  let sent = 0;
  const batches = await events.until(({ events }) => (sent += events.filter(isMessage).length) >= 2);
  const all = batches.flatMap(({ events }: Any) => events);
  assert.deepEqual(all.map(({ __typename }: Any) => __typename), ["MessageSentEvent", "MessageSentEvent"]);
  assert.equal(all[0].message.attachments[0].status, "READY");
});

Deno.test("a file that looks like an image and is broken ends as FAILED, is told of, and can only be downloaded", async () => {
  await using app = await startApp({ IMAGE_WORKERS: "1" });
  const { alice, bob, room } = await meet(app);
  await using events = followRoom(app, bob, room);
  const [id = ""] = await uploaded(app, alice, room, { name: "broken.jpg", bytes: await brokenJpeg() });
  await done(app, "sendMessage", { roomId: room.id, attachmentIds: [id] }, alice);
  const told =
    (await events.until(({ events }) =>
      events.some(({ __typename, message, attachment }: Any) =>
        __typename === "AttachmentProcessedEvent"
          ? attachment.status === "FAILED"
          : message?.attachments[0]?.status === "FAILED"
      )
    )).flatMap(({ events }: Any) => events);
  const { url, image } = told.at(-1).attachment ?? told.at(-1).message.attachments[0];
  assert.equal(image, null);
  const response = await fetch(reachable(app, url));
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/octet-stream"]);
  assert.match(response.headers.get("content-disposition") ?? "", /^attachment; /);
  await response.body?.cancel();
});

Deno.test("images that nobody makes are seen by whoever asks for the health of the server", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  const workerOf = async () => (await (await fetch(new URL("/readyz", app.url))).json()).parts.worker;
  await uploaded(app, alice, room, await photoFile());
  assert.equal(await workerOf(), "ready");
  await app.app.sql`update files set created_at = now() - interval '61 seconds'`;
  assert.equal(await workerOf(), "degraded");
});

Deno.test("an avatar is there when the mutation answers, square, and everybody's to see under a URL that never changes", async () => {
  await using app = await startApp({ IMAGE_WORKERS: "1" });
  const { alice, bob } = await meet(app);
  const first = await setAvatar(app, alice, await photoFile());
  assert.deepEqual(first.errors, []);
  const query = `query ($id: ID!) { user(id: $id) { avatar { width height thumbhash small: url(size: SMALL) url } } }`;
  const avatar = async () => (await app.run(query, { id: alice.id }, bob)).user.avatar;
  const seen = await avatar();
  assert.deepEqual([seen.width, seen.height], [40, 40], "the square middle, not enlarged");
  assert.deepEqual(await avatar(), seen);
  const response = await fetch(reachable(app, seen.url));
  assert.equal(response.headers.get("cache-control"), "public, max-age=31536000, immutable");
  assert.equal((await sharp(new Uint8Array(await response.arrayBuffer())).metadata()).width, 40);

  const second = await setAvatar(app, alice, await photoFile());
  assert.notEqual(second.user.avatar.url, seen.url);
  await eventually("the old one is deleted", async () => (await fetchStatus(app, seen.url)) === 404);
  for (
    const [file, state] of [
      [textFile("page.txt", "no image"), "it is no JPEG, PNG, GIF or WebP image"],
      [{ name: "broken.jpg", bytes: await brokenJpeg() }, "the image is damaged"],
    ] as const
  ) {
    const { errors } = await setAvatar(app, alice, file);
    const told = errors.map(({ code, path, message }: Any) => [code, ...path, message]);
    assert.deepEqual(told, [["UNSUPPORTED_MEDIA_TYPE", "file", `Cannot use the file: ${state}`]]);
  }
  assert.equal((await avatar()).url, second.user.avatar.url, "a refused one leaves the old one");
  await done(app, "updateAvatar", { file: null }, alice);
  assert.equal(await avatar(), null);
  await eventually("nothing is stored", async () => (await storedFiles(app)).length === 0);
  await eventually("nothing counts for the quota", async () => await storedBytes(app, alice) === 0);
});

Deno.test("a room has an icon, a conversation of two the picture of the other one", async () => {
  await using app = await startApp({ IMAGE_WORKERS: "1" });
  const { alice, bob, room } = await meet(app);
  await using events = followRoom(app, bob, room);
  const { body } = await postFiles(app, {
    query:
      `mutation ($input: UpdateRoomInput!) { updateRoom(input: $input) { room { topic icon { url } } errors { code } } }`,
    variables: { input: { roomId: room.id, topic: "with a face", icon: null } },
    files: { "variables.input.icon": await photoFile() },
  }, alice);
  const { room: changed, errors } = body.data.updateRoom;
  assert.deepEqual([errors, changed.topic], [[], "with a face"]);
  const [told] = await events.until(isOf("RoomUpdatedEvent")).then(last);
  assert.equal(told.room.icon.url, changed.icon.url);
  assert.equal(await fetchStatus(app, changed.icon.url), 200);

  const { user: { avatar } } = await setAvatar(app, alice, await photoFile());
  const { room: direct } = await done(app, "openDirectRoom", { userIds: [alice.id] }, bob, "room { id icon { url } }");
  assert.equal(direct.icon.url, avatar.url);
  const seenByAlice = await app.run(`query ($id: ID!) { room(id: $id) { icon { url } } }`, { id: direct.id }, alice);
  assert.equal(seenByAlice.room.icon, null);
  await done(app, "updateRoom", { roomId: room.id, icon: null }, alice);
  await eventually("the icon is deleted", async () => (await fetchStatus(app, changed.icon.url)) === 404);
});

Deno.test("a picture whose client has gone is deleted, and never shown as one that is not there", async () => {
  await using app = await startApp();
  const { alice, room } = await meet(app);
  const userId = findId("user", alice.id) ?? "";
  const member = await requireMember(app.app, { userId }, findId("room", room.id));
  for (
    const show of [
      (id: string) => showAvatar(app.app, { userId }, id),
      (id: string) => updateRoom(app.app, member, { iconId: id }),
    ]
  ) {
    const fileId = await givePicture(app, alice);
    await app.app.sql`update users set avatar_id = null where id = ${userId}`; // which begins to delete it
    await assert.rejects(async () => void await show(fileId), { code: "UNAVAILABLE" });
    assert.equal(await deleteUnused(app.app), 1);
  }
});

Deno.test("each viewer of a live stream gets links of their own, made in one execution for all", async () => {
  await using app = await startApp();
  const { alice, bob, room } = await meet(app);
  const streams = [followRoom(app, alice, room), followRoom(app, bob, room)];
  await using _streams = {
    [Symbol.asyncDispose]: async () => void await Promise.all(streams.map((each) => each[Symbol.asyncDispose]())),
  };
  const [id = ""] = await uploaded(app, alice, room, textFile("a.txt", "shared"));
  await Promise.all(streams.map((stream) => stream.next())); // both are live
  await done(app, "sendMessage", { roomId: room.id, attachmentIds: [id] }, alice);
  const urls = await Promise.all(streams.map(async (stream) => {
    const [event] = last(await stream.until(isOf("MessageSentEvent")));
    return event.message.attachments[0].url;
  }));
  assert.notEqual(urls[0], urls[1]);
  for (const [index, person] of [alice, bob].entries()) {
    assert.equal(new URL(urls[index] ?? "").searchParams.get("viewer"), person.id);
    assert.equal(await fetchStatus(app, urls[index] ?? ""), 200);
  }
  await done(app, "leaveRoom", { roomId: room.id }, bob);
  assert.deepEqual(await Promise.all(urls.map((url) => fetchStatus(app, url))), [200, 404]);
});

async function meet(app: TestApp) {
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  return { alice, bob, room: await app.makeRoom(alice, bob) satisfies TestRoom };
}

function followRoom(app: TestApp, as: Person, room: TestRoom): Subscription {
  return new Subscription(app, as, { query: EVENTS, variables: { roomId: room.id, after: room.cursor } });
}

function isOf(name: string) {
  return ({ events }: Any): boolean => events.some(({ __typename }: Any) => __typename === name);
}

function isMessage({ __typename }: Any): boolean {
  return __typename === "MessageSentEvent";
}

function last(batches: readonly Any[]): Any[] {
  return batches.at(-1).events;
}

async function photoFile(): Promise<TestFile> {
  return { name: "photo.jpg", bytes: await makePhonePhoto(), type: "image/jpeg" };
}

/** Sound in its structure, with nonsense where the pixels are. */
async function brokenJpeg(): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await makePhonePhoto();
  const scan = bytes.findIndex((byte, index) => byte === 0xff && bytes[index + 1] === 0xda) + 14;
  return bytes.map((byte, index) => index < scan || index > bytes.length - 3 ? byte : 0x11);
}

async function setAvatar(app: TestApp, as: Person, file: TestFile): Promise<Any> {
  const { body } = await postFiles(app, {
    query: `mutation ($input: UpdateAvatarInput!) {
      updateAvatar(input: $input) { user { avatar { url } } errors { code path message } }
    }`,
    variables: { input: { file: null } },
    files: { "variables.input.file": file },
  }, as);
  assert.equal(body.errors, undefined, JSON.stringify(body.errors));
  return body.data.updateAvatar;
}

async function fetchStatus(app: TestApp, url: string): Promise<number> {
  const response = await fetch(reachable(app, url));
  await response.body?.cancel();
  return response.status;
}
