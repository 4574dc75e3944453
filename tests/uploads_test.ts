/** Promises of uploads: what is not acceptable is refused by itself, nobody stores more than is theirs, and what is not used goes. */
import { strict as assert } from "node:assert";
import { findId } from "../src/lib/ids.ts";
import { deleteUnsent, deleteUnused, discardFiles } from "../src/uploads/deletions.ts";
import { uploadKey } from "../src/uploads/files.ts";
import { type Any, startApp } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { makeGif, makePng, makePngHeader } from "./support/image_bytes.ts";
import { done, mutate, refusal } from "./support/mutations.ts";
import {
  postFiles,
  reachable,
  storedBytes,
  storedFiles,
  type TestFile,
  textFile,
  untilNothingStored,
  upload,
  uploaded,
  uploadText,
} from "./support/uploads.ts";

Deno.test("of several files the good ones are taken, and each bad one is refused by itself", async () => {
  await using app = await startApp({ MAX_UPLOAD_BYTES: "1000" });
  const [alice] = [await app.signUp("alice")];
  const room = await app.makeRoom(alice);
  const { attachments, errors } = await upload(
    app,
    alice,
    room,
    textFile("good.txt", "good"),
    textFile("large.txt", "x".repeat(1_001)),
    textFile("page.png", "<html><script>alert(1)</script></html>"),
    textFile("vector.png", `<svg xmlns="http://www.w3.org/2000/svg"></svg>`),
    textFile("empty.txt", ""),
    textFile("exact.txt", "x".repeat(1_000)),
  );
  assert.deepEqual(attachments.map(({ filename, byteSize }: Any) => [filename, byteSize]), [
    ["good.txt", 4],
    ["exact.txt", 1_000],
  ]);
  assert.deepEqual(errors.map(({ code, path, limit }: Any) => [code, path, limit ?? null]), [
    ["FILE_TOO_LARGE", ["files", "1"], 1_000],
    ["UNSUPPORTED_MEDIA_TYPE", ["files", "2"], null],
    ["UNSUPPORTED_MEDIA_TYPE", ["files", "3"], null],
    ["EMPTY", ["files", "4"], null],
  ]);
  await eventually("nothing else is stored", async () => (await storedFiles(app)).length === 2);
});

Deno.test("images that would hurt a decoder are refused before one sees them, and not stored", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const files: TestFile[] = [
    { name: "20000.png", bytes: makePng(20_000, 20_000) },
    { name: "60000.png", bytes: makePngHeader(60_000, 60_000) },
    { name: "frames.gif", bytes: makeGif(4_000, 4_000, 50, [0, 0, 4_000, 4_000]) },
  ];
  const { attachments, errors } = await upload(app, alice, room, ...files);
  assert.deepEqual(attachments, []);
  assert.deepEqual(errors.map(({ code, path }: Any) => [code, ...path]), [
    ["INVALID_INPUT", "files", "0"],
    ["INVALID_INPUT", "files", "1"],
    ["INVALID_INPUT", "files", "2"],
  ]);
  await untilNothingStored(app);
});

Deno.test("a file that comes without a form is refused by what it has to be, and is no bug of the server", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const { id: roomId } = await app.makeRoom(alice);
  const message = "Cannot read the file: it comes as a part of a multipart request, and stands in a variable";
  const mutation = (variables: string, input: string) =>
    `mutation (${variables}) { uploadAttachments(input: ${input}) { __typename } }`;
  const requests = [
    ...[{}, "hello", 5, [{}], true].map((file) => ({
      query: mutation("$roomId: ID!, $file: Upload!", "{ roomId: $roomId, files: [$file] }"),
      variables: { roomId, file },
    })),
    { query: mutation("$input: UploadAttachmentsInput!", "$input"), variables: { input: { roomId, files: [{}] } } },
  ];
  for (const request of requests) {
    const { status, body: { errors: [error] = [], data } } = await app.post(request, alice);
    const { code } = error.extensions;
    assert.deepEqual([status, data, code, error.message], [400, undefined, "BAD_USER_INPUT", message], request.query);
  }
  const written = { query: mutation("$roomId: ID!", "{ roomId: $roomId, files: [5] }"), variables: { roomId } };
  const { status, body: { errors: [error] = [] } } = await app.post(written, alice);
  assert.deepEqual([status, error.extensions.code], [400, "GRAPHQL_VALIDATION_FAILED"]);
  assert.ok(error.message.includes(message), error.message);
  const { values: [{ value } = { value: -1 }] } = await app.app.metrics.internalErrors.get();
  assert.equal(value, 0, "none is logged as an unexpected error");
});

Deno.test("hostile names are made harmless", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const names = [
    ["../../etc/passwd", "passwd"],
    ["..\\..\\boot.ini", "boot.ini"],
    ["a\r\nSet-Cookie: x.txt", null],
    ["nul\0.txt", null],
    ["\u202Egnp.exe", "gnp.exe"],
    ["n".repeat(4_000) + ".txt", null],
  ] as const;
  for (const [name, expected] of names) {
    const { attachments: [{ filename, url }] } = await upload(app, alice, room, textFile(name, "text"));
    if (expected !== null) assert.equal(filename, expected);
    // deno-lint-ignore no-control-regex -- that there is none is the point
    assert.doesNotMatch(filename, /[\/\\\u0000-\u001f\u202a-\u202e\u2066-\u2069]/);
    assert.ok(new TextEncoder().encode(filename).length <= 255);
    const response = await fetch(reachable(app, url));
    assert.equal(await response.text(), "text");
    assert.match(response.headers.get("content-disposition") ?? "", /^attachment; filename="/);
  }
});

Deno.test("two files at once that would both take the last byte of a quota: one is taken", async () => {
  await using app = await startApp({ UPLOAD_QUOTA_BYTES: "10" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await uploadText(app, alice, room, "12345");
  for (let round = 0; round < 5; round++) {
    const payloads = await Promise.all(["12345", "67890"].map((text) => upload(app, alice, room, textFile("a", text))));
    const codes = payloads.map(({ errors }) => errors[0]?.code ?? "taken").sort();
    assert.deepEqual(codes, ["QUOTA_EXCEEDED", "taken"]);
    const { attachments: [{ id }] } = payloads.find(({ attachments }) => attachments.length > 0);
    await done(app, "deleteAttachment", { attachmentId: id }, alice);
    await eventually("its bytes count no more", async () => (await storedBytes(app, alice)) === 5);
  }
  assert.deepEqual((await storedFiles(app)).length, 1);
});

Deno.test("who has used up the quota is refused before a file is read", async () => {
  await using app = await startApp({ UPLOAD_QUOTA_BYTES: "5" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  await uploadText(app, alice, room, "12345");
  const { status, body } = await postFiles(app, {
    query: "mutation ($file: Upload) { updateAvatar(input: { file: $file }) { errors { code } } }",
    variables: { file: null },
    files: { "variables.file": textFile("a", "a") },
  }, alice);
  assert.deepEqual([status, body.errors?.[0].extensions.code], [400, "QUOTA_EXCEEDED"]);
});

Deno.test("an announced file counts for the quota, and is refused where it can't fit", async () => {
  await using app = await startApp({ UPLOAD_QUOTA_BYTES: "2000", MAX_UPLOAD_BYTES: "1500" });
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const announce = { roomId: room.id, filename: "film.mp4" };
  assert.deepEqual(await refusal(app, "createUpload", { ...announce, byteSize: 1_501 }, alice), [
    "FILE_TOO_LARGE",
    "byteSize",
    1_500,
  ]);
  for (const byteSize of [0, -1]) {
    assert.deepEqual(await refusal(app, "createUpload", { ...announce, byteSize }, alice), [
      "INVALID_INPUT",
      "byteSize",
    ]);
  }
  const both = await Promise.all(
    [1_200, 1_200].map((byteSize) => mutate(app, "createUpload", { ...announce, byteSize }, alice, "url expiresAt")),
  );
  assert.deepEqual(both.map(({ errors }) => errors[0]?.code ?? "announced").sort(), ["QUOTA_EXCEEDED", "announced"]);
});

Deno.test("what no resolver takes is deleted: without permission, under a wrong field, in a failed operation", async () => {
  await using app = await startApp();
  const [alice, bob] = [await app.signUp("alice"), await app.signUp("bob")];
  const room = await app.makeRoom(alice);
  const { errors, attachments } = await upload(app, bob, room, textFile("a.txt", "not a member"));
  assert.deepEqual([errors[0].code, attachments], ["NOT_A_MEMBER", null]);
  const answers = await Promise.all([
    postFiles(app, {
      query: "mutation ($file: Upload) { nothing(file: $file) }",
      variables: { file: null },
      files: { "variables.file": textFile("b.txt", "no such field") },
    }, alice),
    postFiles(app, {
      query: "query ($file: Upload) { viewer { id } }",
      variables: { file: null },
      files: { "variables.file": textFile("c.txt", "not used") },
    }, alice),
  ]);
  assert.ok(answers.every(({ body }) => body.errors));
  await untilNothingStored(app);
});

Deno.test("a file that was not sent within a day is deleted, and so is what nothing ever referred to", async () => {
  await using app = await startApp();
  const alice = await app.signUp("alice");
  const room = await app.makeRoom(alice);
  const [old = "", fresh = ""] = await uploaded(app, alice, room, textFile("old", "old"), textFile("fresh", "fresh"));
  const { attachmentId } = await done(
    app,
    "createUpload",
    { roomId: room.id, filename: "film.mp4", byteSize: 100 },
    alice,
    "attachmentId",
  );
  for (const id of [old, attachmentId]) {
    await app.app.sql`
      update attachments set unsent_since = now() - interval '25 hours' where id = ${findId("attachment", id)}`;
  }
  // As a node leaves it that was killed before anything referred to the file.
  const orphan = crypto.randomUUID();
  await app.app.sql`
    insert into files (id, owner_id, purpose, unused_since)
    values (${orphan}, ${findId("user", alice.id)}, 'ATTACHMENT', now() - interval '2 hours')`;
  await app.app.files.store(`${orphan}/upload`, new Blob(["orphan"]).stream());
  assert.equal(await deleteUnsent(app.app), 2);
  assert.equal(await deleteUnused(app.app), 3);
  const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`;
  assert.deepEqual((await app.run(query, { ids: [old, fresh, attachmentId] }, alice)).nodes, [
    null,
    { id: fresh },
    null,
  ]);
  assert.equal((await storedFiles(app)).length, 1);
  assert.equal(await storedBytes(app, alice), 5);
});

Deno.test("what comes of a file that was given up meanwhile is deleted", async () => {
  await using app = await startApp();
  const fileId = crypto.randomUUID(); // its row is gone: it took more than an hour
  await app.app.files.store(uploadKey(fileId), new Blob(["late"]).stream());
  await discardFiles(app.app, [fileId]);
  assert.deepEqual(await storedFiles(app), []);
});
