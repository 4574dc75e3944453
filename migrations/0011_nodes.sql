-- The nodes that run now, and who is connected to which. Nothing of it outlives them, so it is not worth a log: after a
-- crash of the database both tables are empty, and every node writes its part again.
create unlogged table nodes (
  id uuid primary key,
  -- Once this is past, the node counts as dead, and any other may delete it.
  lease_until timestamptz not null,
  -- Counts the changes of its connections.
  version bigint not null,
  -- Open WebSocket connections.
  sockets int not null
);

create unlogged table connections (
  node_id uuid not null references nodes (id) on delete cascade,
  user_id uuid not null,
  primary key (node_id, user_id)
);
create index connections_user_id on connections (user_id);
