/** `deno task bench:uploads`: what photos cost one server with one image worker, and those who write meanwhile. The clients share
 * the machine: CPU times are the figures to compare. TEST_DATABASE_URL measures on Postgres. */
import { pause } from "../src/platform/timers.ts";
import type { Client } from "graphql-ws";
import type { Person } from "./support/app.ts";
import { createTestDatabase, TEST_DATABASE_URL } from "./support/databases.ts";
import { MeasuredServer } from "./support/measured_server.ts";
import { uploadAtOnce } from "./support/photo_crowd_worker.ts";
import { PhotoWatcher } from "./support/photo_watcher.ts";
import { makePhoto, photoForm, uploadPhoto } from "./support/photos.ts";
import { connectForLong, sendWith, SteadyChat } from "./support/steady_chat.ts";

const PHOTOS = 10;
const CROWD = 50;
const SENDERS = 20;
/** Between two messages of one sender. */
const SEND_EVERY_MS = 500;
const QUIET_MS = 5_000;

print(`Database: ${TEST_DATABASE_URL === null ? "embedded" : "Postgres"}`);
await using database = await createTestDatabase();
await using server = new MeasuredServer({ ...database.config, IMAGE_WORKERS: "1", MAX_CONNECTIONS_PER_USER: "1000" });
const api = await server.api();
const photo = await makePhoto();
print(`Photo: 4,000 x 3,000, ${(photo.length / 1e6).toFixed(1)} MB`);
const people: Person[] = [];
while (people.length < CROWD) people.push(await api.signUp()); // one by one: only so many passwords are hashed at once
const [owner, ...others] = people as [Person, ...Person[]];
const room = await api.makeRoom(owner, ...others);
const form = photoForm(room, photo);

await server.takeLongestBlock();
await pause(QUIET_MS);
print(`Longest block of the event loop, nothing to do: ${describe(await server.takeLongestBlock())}`);
await measureOneByOne();
await measureCrowd();

/** One photo after the other. */
async function measureOneByOne(): Promise<void> {
  await using watcher = await PhotoWatcher.open(api, owner, room);
  const sender = connectForLong(api, owner);
  await sharePhoto(owner, sender, watcher); // the image worker starts with the first one
  await server.takeLongestBlock();
  const [cpuMs, workerCpuMs] = [await server.cpuMs(), await server.workerCpuMs()];
  const photos = [];
  for (let index = 0; index < PHOTOS; index++) photos.push(await sharePhoto(owner, sender, watcher));
  print(`Of ${PHOTOS} photos, one after the other (median, largest):`);
  print(`  answer to the upload, after its last byte was sent: ${spread(photos.map(({ answerMs }) => answerMs))}`);
  print(`  thumbnails at a subscriber, after the answer: ${spread(photos.map(({ readyMs }) => readyMs))}`);
  print(
    `  thumbnails at a subscriber, after sendMessage: ${
      spread(photos.map(({ readySinceSendMs }) => readySinceSendMs))
    }`,
  );
  print(`  longest block of the event loop: ${describe(await server.takeLongestBlock())}`);
  print(
    `  CPU of the server ${round((await server.cpuMs() - cpuMs) / PHOTOS)} ms a photo, of the image worker ${
      round((await server.workerCpuMs() - workerCpuMs) / PHOTOS)
    } ms`,
  );
  await sender.dispose();
}

interface SharedPhoto {
  readonly answerMs: number;
  readonly readyMs: number;
  readonly readySinceSendMs: number;
}

/** Uploads a photo, sends it at once, and waits until it can be seen. */
async function sharePhoto(as: Person, sender: Client, watcher: PhotoWatcher): Promise<SharedPhoto> {
  const { attachmentId, answerMs, answeredAtMs } = await uploadPhoto(api, as, form);
  await sendWith(sender, { roomId: room.id, content: "Look", attachmentIds: [attachmentId] });
  const sentAtMs = performance.now();
  const readyAtMs = await watcher.ready(attachmentId);
  return { answerMs, readyMs: readyAtMs - answeredAtMs, readySinceSendMs: Math.max(0, readyAtMs - sentAtMs) };
}

/** Everybody sends a photo in the same moment, while some write as always. */
async function measureCrowd(): Promise<void> {
  await using watcher = await PhotoWatcher.open(api, owner, room);
  const clients = people.map((person) => connectForLong(api, person));
  const memory = watchMemory();
  using chat = new SteadyChat(clients.slice(0, SENDERS), {
    room: await api.makeRoom(owner, ...others),
    everyMs: SEND_EVERY_MS,
  });
  await pause(2_000); // all are connected
  chat.take();
  await pause(QUIET_MS);
  const before = { sends: chat.take(), memory: memory.take() };
  await server.takeLongestBlock();
  const [cpuMs, workerCpuMs, startedAtMs] = [await server.cpuMs(), await server.workerCpuMs(), performance.now()];
  const waitedMs = await server.waitedMs();
  const answered = await uploadAtOnce(api, people, form);
  const uploadedMs = performance.now() - startedAtMs;
  const incoming = { sends: chat.take(), block: await server.takeLongestBlock() };
  const starvedMs = await server.waitedMs() - waitedMs;
  await Promise.all(
    answered.map((attachmentId, index) =>
      sendWith(clients[index] as Client, { roomId: room.id, attachmentIds: [attachmentId] })
    ),
  );
  await Promise.all(answered.map((attachmentId) => watcher.ready(attachmentId)));
  const readyMs = performance.now() - startedAtMs;
  const working = { sends: chat.take(), block: await server.takeLongestBlock(), memory: memory.take() };
  const cpu = [await server.cpuMs() - cpuMs, await server.workerCpuMs() - workerCpuMs].map((ms) => round(ms / CROWD));
  await pause(QUIET_MS);
  print(`${CROWD} photos at once, while ${SENDERS} people send ${SENDERS * 1000 / SEND_EVERY_MS} messages a second:`);
  print(`  uploads are answered after ${round(uploadedMs)} ms, all can be seen after ${round(readyMs)} ms`);
  print(`  while they came in the server waited ${round(starvedMs)} ms for a processor that others had`);
  print(`  sendMessage before: ${percentiles(before.sends)}`);
  print(`  sendMessage while photos come in: ${percentiles(incoming.sends)}`);
  print(`  sendMessage while they are processed: ${percentiles(working.sends)}`);
  print(`  sendMessage after: ${percentiles(chat.take())}`);
  print(
    `  longest block of the event loop: ${describe(incoming.block)} coming in, ${describe(working.block)} processed`,
  );
  print(`  memory of the server: ${before.memory} MB before, ${working.memory} MB at most, ${memory.take()} MB after`);
  print(`  CPU of the server ${cpu[0]} ms a photo (messages included), of the image worker ${cpu[1]} ms`);
  memory.stop();
  await Promise.all(clients.map((client) => client.dispose()));
}

/** The most memory since it was asked the last time, in MB. */
function watchMemory(): { take(): number; stop(): void } {
  let mostBytes = 0;
  const timer = setInterval(async () => {
    const text = await (await fetch(api.url.replace("/graphql", "/metrics"))).text();
    mostBytes = Math.max(mostBytes, Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]));
  }, 200);
  return {
    take() {
      const megabytes = round(mostBytes / 1e6);
      mostBytes = 0;
      return megabytes;
    },
    stop: () => clearInterval(timer),
  };
}

function describe({ ms, cpuMs }: { readonly ms: number; readonly cpuMs: number }): string {
  return `${round(ms)} ms (CPU in it: ${round(cpuMs)} ms)`;
}

function spread(values: readonly number[]): string {
  return `${round(quantile(values, 0.5))} ms, ${round(Math.max(...values))} ms`;
}

function percentiles(values: readonly number[]): string {
  return `p50 ${round(quantile(values, 0.5))} ms, p99 ${round(quantile(values, 0.99))} ms (${values.length})`;
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.min(values.length - 1, Math.floor(values.length * share))] ??
    NaN;
}

function round(value: number): number {
  return Math.round(value);
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
