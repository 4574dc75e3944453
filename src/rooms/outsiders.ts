/** What is open to those who are not in a room. */
import type { App } from "../app.ts";
import type { Viewer } from "../auth/viewer.ts";
import { isBanned } from "./bans.ts";
import { isInvited, type Member } from "./members.ts";
import { permissionsOf, permissionsOfStranger, type RoomPermission } from "./permissions.ts";
import type { Room } from "./rooms.ts";

interface Standing {
  readonly isInvited: boolean;
  readonly isBanned: boolean;
}

/** What the viewer may do in each of the rooms, given the viewer's memberships in them. */
export async function listPermissions(
  app: App,
  viewer: Viewer | null,
  { rooms, members }: { readonly rooms: readonly Room[]; readonly members: readonly (Member | null)[] },
): Promise<RoomPermission[][]> {
  const outside = viewer === null ? [] : rooms.filter((_, index) => !members[index]).map(({ id }) => id);
  const standings = viewer === null || outside.length === 0 ? new Map() : await readStandings(app, viewer, outside);
  return rooms.map(({ id, kind }, index) => {
    const member = members[index];
    if (member) return [...permissionsOf(member)];
    const standing: Standing | undefined = standings.get(id);
    return standing ? [...permissionsOfStranger({ roomKind: kind, ...standing })] : [];
  });
}

async function readStandings(app: App, viewer: Viewer, roomIds: readonly string[]): Promise<Map<string, Standing>> {
  const rows = await app.sql<(Standing & { id: string })[]>`
    select id, ${isInvited(app, viewer)} as is_invited, ${isBanned(app, app.sql`${viewer.userId}`)} as is_banned
    from rooms
    where id = any(${roomIds as string[]}::uuid[])
      and deleted_at is null`;
  return new Map(rows.map(({ id, ...standing }) => [id, standing]));
}
