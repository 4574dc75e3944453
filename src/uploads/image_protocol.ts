/** What the server and its image workers say to each other: the only thing that `workers/image_worker.ts` knows of the server. */

/** What is taken as an image. */
export const IMAGE_TYPES = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const;
export type ImageType = typeof IMAGE_TYPES[number];

/** Pixels of each side. */
export const IMAGE_SIDE_MAX = 8_000;
export const IMAGE_PIXELS_MAX = 24_000_000;
/** Pixels of all frames of an animation. */
export const FRAME_PIXELS_MAX = 50_000_000;

/** Longest side of each size in pixels; smaller images are never enlarged. */
export const FITS = { SMALL: 64, MEDIUM: 256, LARGE: 1024 } as const;
/** Side of the square that is made of an avatar or a room icon. */
export const PICTURE_SIDE = 256;
