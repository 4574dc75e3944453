/** Stored files: what is known of each. The table `files` says what the storage holds: a row is there before the first byte
 * and until the last one is deleted. */
import type { Progress } from "../platform/files.ts";

/** Sizes of what is stored of an image. */
export const IMAGE_SIZES = ["SMALL", "MEDIUM", "LARGE", "ORIGINAL"] as const;
export type ImageSize = typeof IMAGE_SIZES[number];

export type MediaKind = "IMAGE" | "VIDEO" | "AUDIO" | "OTHER";

/** ATTACHMENT: an image in all sizes. PICTURE: the square middle of one, for avatars and room icons. */
export type FilePurpose = "ATTACHMENT" | "PICTURE";

/** INCOMING until all of it is there and accepted; DELETING once nothing can use it any more. */
export type FileStatus = "INCOMING" | "PROCESSING" | "READY" | "FAILED" | "DELETING";

/** One stored form of an image. */
export interface Rendition {
  readonly mediaType: string;
  readonly byteSize: number;
  /** In hex. */
  readonly sha256: string;
}

export type Renditions = Readonly<Partial<Record<ImageSize, Rendition>>>;

export interface StoredFile {
  readonly id: string;
  readonly ownerId: string;
  readonly purpose: FilePurpose;
  readonly status: FileStatus;
  /** As it came. */
  readonly byteSize: number;
  /** Of what came, found by its content; `null` while it comes in. */
  readonly mediaType: string | null;
  /** Of what came; `null` while it comes in. */
  readonly sha256: Uint8Array | null;
  /** Pixels as shown; `null` for what is no image, or is not processed yet. */
  readonly width: number | null;
  readonly height: number | null;
  /** Base64. */
  readonly thumbhash: string | null;
  /** What is stored of an image by now. */
  readonly renditions: Renditions | null;
  readonly progress: Progress | null;
  readonly createdAt: Date;
}

/** What becomes of a file that was accepted: an image is made anew before anybody sees it. */
export function statusOf(mediaKind: MediaKind): "PROCESSING" | "READY" {
  return mediaKind === "IMAGE" ? "PROCESSING" : "READY";
}

/** Where the bytes are as they came. */
export function uploadKey(fileId: string): string {
  return `${fileId}/upload`;
}

/** Where one size of an image is. */
export function renditionKey(fileId: string, size: ImageSize): string {
  return `${fileId}/${size.toLowerCase()}`;
}
