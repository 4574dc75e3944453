/** Emoji, as Unicode recommends them for general interchange (UTS #51). Pure. */

/** Characters that are shown as emoji only with U+FE0F behind them, or with a skin tone. */
const NEEDS_SELECTOR = /(?!\p{Emoji_Presentation}|\p{Emoji_Modifier})\p{Emoji}(?!\p{Emoji_Modifier})/gu;
const ONE_EMOJI = /^\p{RGI_Emoji}$/v;

/** The fully-qualified form of a text that is exactly one emoji, with or without its U+FE0F; `null` for any other text. */
export function findEmoji(text: string): string | null {
  const emoji = text.replaceAll("\ufe0f", "").replace(NEEDS_SELECTOR, "$&\ufe0f");
  return ONE_EMOJI.test(emoji) ? emoji : null;
}
