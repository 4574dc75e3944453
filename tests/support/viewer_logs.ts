/** What users are told in their own logs, as it is stored. */
import { findId } from "../../src/lib/ids.ts";
import { listViewerEvents, type ViewerEventKind } from "../../src/users/viewer_events.ts";
import type { Person, TestApp } from "./app.ts";

/** Kinds of all events of the person, oldest first. */
export async function toldTo({ app }: TestApp, person: Person): Promise<ViewerEventKind[]> {
  const events = await listViewerEvents(app, findId("user", person.id) ?? "", { after: 0, limit: 1_000 });
  return events.map(({ kind }) => kind);
}
