/** One value for many streams: executed and encoded once for all who ask for it with the same operation. */
import { NeedsViewer, type Rendered, type Renderer, type SharedFacts } from "./fanout.ts";
import type { ViewerRenderer } from "./subscriptions.ts";
import type { Reader } from "../rooms/relations.ts";

/** Only what is under way: who asks later gets an answer of its own, which is newer. */
const underWay = new WeakMap<object, Map<string, Promise<Rendered>>>();

/** The value as the reader sees it. Shares an execution with all streams that are handed the same object at the same time,
 * and falls back to one for this reader where the operation needs its viewer. */
export async function renderShared(
  renderer: Renderer & ViewerRenderer,
  value: object,
  { reader, facts = {} }: { readonly reader: Reader; readonly facts?: SharedFacts },
): Promise<string> {
  try {
    return (await renderOnce(renderer, value, facts)).bodyFor(reader);
  } catch (error) {
    if (!(error instanceof NeedsViewer)) throw error;
    return await renderer.renderForViewer(value);
  }
}

function renderOnce(renderer: Renderer, value: object, facts: SharedFacts): Promise<Rendered> {
  const renders = underWay.get(value) ?? new Map<string, Promise<Rendered>>();
  underWay.set(value, renders);
  const key = renderer.key();
  const known = renders.get(key);
  if (known) return known;
  const render = renderer.render(value, facts).finally(() => renders.delete(key));
  renders.set(key, render);
  return render;
}
