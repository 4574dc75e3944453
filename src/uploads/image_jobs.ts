import type { App } from "../app.ts";
/** stand-in */
export function queueImage(_app: App, _fileId: string): Promise<void> {
  return Promise.resolve();
}
export function fileTopic(fileId: string): string {
  return `file:${fileId}`;
}
