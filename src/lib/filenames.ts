/** stand-in */
export function cleanFilename(text: string): string {
  return text;
}
