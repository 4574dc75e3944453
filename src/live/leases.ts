/** The statements about nodes: each renews its own lease, and whoever finds an expired one deletes that node. */
import type { App } from "../app.ts";
import { retryDeadlock } from "../platform/sql.ts";

/** Long enough for a blocked event loop or a slow database, short enough that the dead are gone within 20 s. */
export const LEASE_SECONDS = 12;

/** Another node, as the database has it. */
export interface NodeRow {
  readonly id: string;
  readonly version: number;
  readonly isExpired: boolean;
}

export interface NodeCounts {
  readonly nodes: number;
  /** Open WebSocket connections. */
  readonly sockets: number;
}

export interface NodeConnections {
  readonly id: string;
  readonly version: number;
  readonly userIds: readonly string[];
}

export interface ConnectionChanges {
  readonly arrived: readonly string[];
  readonly left: readonly string[];
  /** How long ago those who left were seen last. */
  readonly leftSeconds: number;
}

/** Writes the node with all who are connected to it, and returns a version that is later than any before, also than one
 * that a crash of the database has swept away. */
export async function registerNode(app: App, id: string, userIds: readonly string[]): Promise<number> {
  const [node] = await app.sql<[{ version: number }]>`
    with node as (
      insert into nodes (id, lease_until, version, sockets)
      values (${id}, now() + make_interval(secs => ${LEASE_SECONDS}), floor(extract(epoch from now()) * 1000), 0)
      on conflict (id) do update
      set lease_until = excluded.lease_until,
        version = greatest(excluded.version, nodes.version + 1)
      returning id, version
    ), gone as (
      delete from connections
      using node
      where node_id = node.id
        and user_id <> all(${userIds as string[]}::uuid[])
    ), arrived as (
      insert into connections (node_id, user_id)
      select id, unnest(${userIds as string[]}::uuid[]) from node
      on conflict do nothing
    )
    select version from node`;
  return node.version;
}

/** Renews the lease. Returns the version of the node, `null` where it is not there, and all other nodes. */
export async function renewLease(
  app: App,
  { id, sockets }: { readonly id: string; readonly sockets: number },
): Promise<{ readonly version: number | null; readonly others: readonly NodeRow[] }> {
  const [beat] = await app.sql<{ version: number | null; others: NodeRow[] }[]>`
    with own as (
      update nodes
      set lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
        sockets = ${sockets}
      where id = ${id}
      returning version
    )
    select (select version from own) as version,
      coalesce(
        (
          select jsonb_agg(jsonb_build_object('id', id, 'version', version, 'isExpired', lease_until < now()))
          from nodes
          where id <> ${id}
        ),
        '[]'
      ) as others`;
  return beat ?? { version: null, others: [] };
}

/** Stores who has come to the node and who has left it; returns the version after that, `null` for a node that was
 * deleted meanwhile. Renews the lease, so that nobody deletes the node without the new ones. */
export async function changeConnections(app: App, id: string, changes: ConnectionChanges): Promise<number | null> {
  const [node] = await retryDeadlock(() =>
    app.sql<{ version: number }[]>`
      with node as (
        update nodes
        set version = version + 1,
          lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
        where id = ${id}
        returning id, version
      ), arrived as (
        insert into connections (node_id, user_id)
        select id, unnest(${changes.arrived as string[]}::uuid[]) from node
        on conflict do nothing
      ), gone as (
        delete from connections
        using node
        where node_id = node.id
          and user_id = any(${changes.left as string[]}::uuid[])
      ), seen as (
        update users
        set last_seen_at = now() - make_interval(secs => ${changes.leftSeconds})
        where id = any(${changes.left as string[]}::uuid[])
          and presence <> 'OFFLINE' -- who is invisible changes nothing for others: not even the time of the last visit
      )
      select version from node`
  );
  return node?.version ?? null;
}

/** The nodes among these that there are, with their connections. */
export async function listConnections(app: App, ids: readonly string[]): Promise<NodeConnections[]> {
  return await app.sql<NodeConnections[]>`
    select id, version, array(select user_id from connections where node_id = nodes.id) as user_ids
    from nodes
    where id = any(${ids as string[]}::uuid[])`;
}

/** Deletes the nodes whose lease has expired, and returns their ids: to one caller only, so that each end is told once. */
export async function reapNodes(app: App, id: string): Promise<string[]> {
  const dead = await retryDeadlock(() =>
    app.sql<{ id: string }[]>`
      with dead as (
        delete from nodes
        where lease_until < now()
          and id <> ${id}
        returning id, lease_until - make_interval(secs => ${LEASE_SECONDS}) as seen_at
      ), seen as (
        update users
        set last_seen_at = greatest(last_seen_at, seen_at)
        from dead
        join connections on connections.node_id = dead.id
        where users.id = connections.user_id
          and presence <> 'OFFLINE'
      )
      select id from dead`
  );
  return dead.map((node) => node.id);
}

/** Lets the lease run out a moment from now, when those who were connected may be back elsewhere. */
export async function endLease(
  app: App,
  { id, userIds, graceSeconds }: {
    readonly id: string;
    readonly userIds: readonly string[];
    readonly graceSeconds: number;
  },
): Promise<void> {
  await retryDeadlock(() =>
    app.sql`
      with node as (
        update nodes
        set lease_until = now() + make_interval(secs => ${graceSeconds}),
          sockets = 0
        where id = ${id}
      )
      update users
      set last_seen_at = now()
      where id = any(${userIds as string[]}::uuid[])
        and presence <> 'OFFLINE'`
  );
}

/** Nodes that run now, and their sockets but for those of this one. */
export async function countNodes(app: App, id: string): Promise<NodeCounts> {
  const [counts] = await app.sql<NodeCounts[]>`
    select count(*) as nodes, coalesce(sum(sockets) filter (where id <> ${id}), 0) as sockets
    from nodes
    where lease_until > now()`;
  return counts ?? { nodes: 1, sockets: 0 };
}
