/** Photos as phones send them, and their way to the server byte by byte. */
import sharp, { type Sharp } from "sharp";
import type { Any, Api, Person, TestRoom } from "./app.ts";
import { FORM_TYPE, formOf } from "./multipart.ts";

const UPLOAD = `mutation ($input: UploadAttachmentsInput!) {
  uploadAttachments(input: $input) { attachments { id } errors { code } }
}`;
const SIZE = { width: 4_000, height: 3_000 };

/** Twelve megapixels in about 4.5 MB: large shapes, and the grain of a sensor. */
export async function makePhoto(): Promise<Uint8Array<ArrayBuffer>> {
  const shapes = raw(randomBytes(400 * 300 * 3), { width: 400, height: 300 }).resize({ ...SIZE, kernel: "cubic" });
  const grain = raw(randomBytes(SIZE.width * SIZE.height * 3), SIZE).blur(1);
  const [pixels, grains] = [await shapes.raw().toBuffer(), await grain.raw().toBuffer()];
  for (const [index, value] of pixels.entries()) {
    pixels[index] = Math.max(0, Math.min(255, value + ((grains[index] ?? 128) - 128) * 0.6));
  }
  return new Uint8Array(await raw(pixels, SIZE).jpeg({ quality: 88 }).toBuffer());
}

export interface TimedUpload {
  readonly attachmentId: string;
  /** From the last byte that was handed to the socket to the whole answer. */
  readonly answerMs: number;
  readonly answeredAtMs: number;
}

/** What uploads the photo to the room, for whoever sends it. */
export function photoForm(room: TestRoom, photo: Uint8Array): Uint8Array {
  const operations = { query: UPLOAD, variables: { input: { roomId: room.id, files: [null] } } };
  return formOf(
    { name: "operations", content: JSON.stringify(operations) },
    { name: "map", content: JSON.stringify({ 0: ["variables.input.files.0"] }) },
    { name: "0", filename: "photo.jpg", content: photo },
  );
}

/** Uploads one photo over a connection of its own. */
export async function uploadPhoto({ url }: Pick<Api, "url">, as: Person, form: Uint8Array): Promise<TimedUpload> {
  const { hostname, port, pathname } = new URL(url);
  const head = [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${hostname}`,
    `Authorization: Bearer ${as.token}`,
    `Content-Type: ${FORM_TYPE}`,
    `Content-Length: ${form.length}`,
    "Connection: close",
  ];
  using connection = await Deno.connect({ hostname, port: Number(port) });
  await write(connection, new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`));
  await write(connection, form);
  const sentAtMs = performance.now();
  const text = await new Response(connection.readable).text();
  const answeredAtMs = performance.now();
  const { data }: Any = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1));
  const [attachment] = data.uploadAttachments.attachments ?? [];
  if (attachment === undefined) throw new Error(text);
  return { attachmentId: attachment.id, answerMs: answeredAtMs - sentAtMs, answeredAtMs };
}

async function write(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
}

function raw(pixels: Uint8Array, { width, height }: typeof SIZE): Sharp {
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}
