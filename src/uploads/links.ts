/** Links to files: who may use one, for what and until when is signed. Says nothing of whether the viewer still may. */
import { Buffer } from "node:buffer";
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { App } from "../app.ts";
import { encodeId, findId } from "../lib/ids.ts";
import { IMAGE_SIZES, type ImageSize } from "./files.ts";

/** Seconds that a link to a file is good for, at most. */
const READ_SECONDS_MAX = 300;
/** Links of one minute are alike, so that a browser finds in its cache what it has loaded before. */
const ALIKE_SECONDS = 60;

/** What a link says; the viewer is who asked for it. */
export interface FileLink {
  readonly attachmentId: string;
  readonly viewerId: string;
  readonly size: ImageSize;
  /** Seconds since 1970. */
  readonly expires: number;
}

export type UploadLink = Omit<FileLink, "size">;

/** Where the viewer finds a file, for 4 to 5 minutes. The file name is only for people. */
export function attachmentUrl(
  app: App,
  viewerId: string,
  attachment: { readonly id: string; readonly filename: string },
  size: ImageSize,
  nowMs = Date.now(),
): string {
  const expires = Math.floor((nowMs / 1000 + READ_SECONDS_MAX) / ALIKE_SECONDS) * ALIKE_SECONDS;
  const path = `/files/${encodeId("attachment", attachment.id)}/${size.toLowerCase()}`;
  const name = encodeURIComponent(attachment.filename.toWellFormed());
  return `${app.config.publicUrl}${path}/${name}?${signedQuery(app, path, { viewerId, expires })}`;
}

/** Where the viewer sends the bytes of a file that was announced. */
export function uploadUrl(app: App, viewerId: string, attachmentId: string, expiresAt: Date): string {
  const path = `/uploads/${encodeId("attachment", attachmentId)}`;
  const expires = Math.floor(expiresAt.getTime() / 1000);
  return `${app.config.publicUrl}${path}?${signedQuery(app, path, { viewerId, expires })}`;
}

/** Where everybody finds an avatar or an icon: for ever the same, and guessed by nobody, for the id is random. */
export function pictureUrl(app: App, fileId: string, size: ImageSize): string {
  return `${app.config.publicUrl}/pictures/${fileId.replaceAll("-", "")}/${pictureSize(size).toLowerCase()}`;
}

/** What a picture is stored in. */
export function pictureSize(size: ImageSize): "SMALL" | "MEDIUM" {
  return size === "SMALL" ? "SMALL" : "MEDIUM";
}

/** What a URL of `attachmentUrl` says; `null` where it has expired or is none. */
export function readFileLink(app: App, { pathname, searchParams }: URL, nowMs = Date.now()): FileLink | null {
  const [path, id = "", name = ""] = /^\/files\/([^/]+)\/([^/]+)(?=\/[^/]+$)/.exec(pathname) ?? [];
  const attachmentId = findId("attachment", id);
  const signed = path === undefined ? null : readSignature(app, path, searchParams, nowMs);
  const size = findSize(name);
  return signed && attachmentId && size ? { attachmentId, size, ...signed } : null;
}

/** What a URL of `uploadUrl` says; `null` where it has expired or is none. */
export function readUploadLink(app: App, { pathname, searchParams }: URL, nowMs = Date.now()): UploadLink | null {
  const [path, id = ""] = /^\/uploads\/([^/]+)$/.exec(pathname) ?? [];
  const attachmentId = findId("attachment", id);
  const signed = path === undefined ? null : readSignature(app, path, searchParams, nowMs);
  return signed && attachmentId ? { attachmentId, ...signed } : null;
}

/** The file that a URL of `pictureUrl` names; `null` where it is none. */
export function readPictureLink({ pathname }: URL): { readonly fileId: string; readonly size: ImageSize } | null {
  const [, id = "", name = ""] = /^\/pictures\/([\da-f]{32})\/([^/]+)$/.exec(pathname) ?? [];
  const size = findSize(name);
  return size && { fileId: id.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"), size };
}

function findSize(name: string): ImageSize | null {
  return IMAGE_SIZES.find((size) => size.toLowerCase() === name) ?? null;
}

interface Grant {
  readonly viewerId: string;
  readonly expires: number;
}

/** The path is signed with it, and begins with what the link is for: none of them opens another. */
function signedQuery(app: App, path: string, { viewerId, expires }: Grant): string {
  const query = `viewer=${encodeId("user", viewerId)}&expires=${expires}`;
  return `${query}&signature=${sign(app, `${path}?${query}`).toString("base64url")}`;
}

function readSignature(app: App, path: string, query: URLSearchParams, nowMs: number): Grant | null {
  const [viewer = "", expires = "", signature = ""] = ["viewer", "expires", "signature"].map((name) =>
    query.get(name) ?? ""
  );
  const expected = sign(app, `${path}?viewer=${viewer}&expires=${expires}`);
  const given = Buffer.from(signature, "base64url");
  const isGenuine = given.length === expected.length && timingSafeEqual(given, expected);
  const viewerId = findId("user", viewer);
  if (!isGenuine || viewerId === null || Number(expires) * 1000 <= nowMs) return null;
  return { viewerId, expires: Number(expires) };
}

function sign(app: App, text: string): Buffer {
  return createHmac("sha256", keyOf(app)).update(text).digest();
}

const keys = new WeakMap<App, Buffer>();

/** Made of the secret for tokens, so that there is one to keep, but never it: what signs one thing must not sign another. */
function keyOf(app: App): Buffer {
  const known = keys.get(app);
  if (known) return known;
  const key = Buffer.from(hkdfSync("sha256", app.jwtSecret, "", "parley files", 32));
  keys.set(app, key);
  return key;
}
