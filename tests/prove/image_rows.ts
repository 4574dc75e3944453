/** Images whose makers are killed: the processes that decode them, and the nodes that hand them over. */
import { createHash } from "node:crypto";
import sharp from "sharp";
import { findId } from "../../src/lib/ids.ts";
import { renditionKey, type Renditions } from "../../src/uploads/files.ts";
import { apiAt, type Person, type TestRoom } from "../support/app.ts";
import { done } from "../support/mutations.ts";
import { uploaded } from "../support/uploads.ts";
import type { Node } from "./nodes.ts";
import { becomes, pause } from "./system.ts";
import { count, type Row, seconds, type Verdict } from "./verdicts.ts";
import type { World } from "./world.ts";

export const IMAGE_ROWS: readonly Row[] = [
  {
    name: "image-workers-killed",
    promise: "Every image ends as READY or FAILED, whole, and its room is told once",
    deed: "60 photos sent while image workers, and 4 times a whole node, are killed with -9",
    run: killMakers,
  },
];

const PHOTOS = 60;
const NODE_KILLS = 4;
/** A killed node's job is taken over after its heartbeat, one that was never stored by a sweep. */
const DONE_WITHIN_MS = 90_000;

async function killMakers(world: World): Promise<Verdict> {
  const [a, b] = world.nodes;
  const api = apiAt(a.wire.port);
  const owner = await api.signUp();
  const room = await api.makeRoom(owner);
  const sending = sendPhotos(a, owner, room);
  let isOver = false;
  const killing = killDecoders(world, () => isOver);
  for (let kill = 0; kill < NODE_KILLS; kill++) {
    await pause(1_000 + world.random() * 1_500);
    await b.kill();
    await b.start();
  }
  await sending;
  isOver = true;
  const decoders = await killing;
  const startMs = performance.now();
  const areDone = await becomes(async () => await countWaiting(world, room) === 0, { withinMs: DONE_WITHIN_MS });
  const level = `level ${seconds(performance.now() - startMs)} after`;
  const { ready, failed, problems } = await inspect(world, room);
  return {
    figures: [`${count(PHOTOS)} photos: ${ready} READY, ${failed} FAILED`, `${decoders + NODE_KILLS} kills`, level],
    problems: [...areDone ? [] : [`${await countWaiting(world, room)} still PROCESSING`], ...problems],
  };
}

async function sendPhotos(node: Node, owner: Person, room: TestRoom): Promise<void> {
  const api = apiAt(node.wire.port);
  const noise = { create: { width: 2000, height: 1500, channels: 3, background: "grey" } } as const;
  const bytes = new Uint8Array(await sharp(noise).blur(2).jpeg().toBuffer());
  for (let n = 0; n < PHOTOS; n++) {
    const attachmentIds = await uploaded(api, owner, room, { name: `${n}.jpg`, bytes });
    await done(api, "sendMessage", { roomId: room.id, attachmentIds }, owner);
    await pause(100);
  }
}

/** Kills what decodes images, again and again; returns how many there were. */
async function killDecoders({ nodes, random }: World, isOver: () => boolean): Promise<number> {
  let killed = 0;
  while (!isOver()) {
    await pause(200 + random() * 400);
    for (const { pid } of nodes) {
      // The children of a node are nothing else.
      const script = `pids=$(cat /proc/${pid}/task/*/children) && for pid in $pids; do kill -9 $pid && echo $pid; done`;
      const { stdout } = await new Deno.Command("sh", { args: ["-c", script], stderr: "null" }).output();
      killed += new TextDecoder().decode(stdout).split("\n").filter(Boolean).length;
    }
  }
  return killed;
}

async function countWaiting({ app }: World, { id }: TestRoom): Promise<number> {
  const [{ waiting }] = await app.sql<[{ waiting: number }]>`
    select count(*)::int as waiting
    from attachments
    join files on files.id = attachments.file_id
    where attachments.room_id = ${findId("room", id)}
      and files.status = 'PROCESSING'`;
  return waiting;
}

interface Photo {
  readonly fileId: string;
  readonly status: string;
  readonly renditions: Renditions | null;
  readonly events: number;
}

async function inspect({ app }: World, { id }: TestRoom) {
  const photos = await app.sql<Photo[]>`
    select files.id as file_id, files.status, files.renditions,
      (
        select count(*)::int
        from room_events
        where room_events.room_id = attachments.room_id
          and kind = 'ATTACHMENT_PROCESSED'
          and subject_id = attachments.id
      ) as events
    from attachments
    join files on files.id = attachments.file_id
    where attachments.room_id = ${findId("room", id)}`;
  const problems = photos.length === PHOTOS ? [] : [`${photos.length} of ${PHOTOS} photos are there`];
  for (const { fileId, renditions, events } of photos) {
    if (events > 1) problems.push(`the room was told ${events} times`);
    for (const [size, { sha256 }] of Object.entries(renditions ?? {}) as [keyof Renditions, { sha256: string }][]) {
      const stored = await app.files.read(renditionKey(fileId, size));
      const hash = createHash("sha256");
      for await (const chunk of stored ?? []) hash.update(chunk);
      if (hash.digest("hex") !== sha256) problems.push(`${size} of ${fileId} is not whole`);
    }
  }
  const countOf = (status: string) => photos.filter((photo) => photo.status === status).length;
  return { ready: countOf("READY"), failed: countOf("FAILED"), problems };
}
