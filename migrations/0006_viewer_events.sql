-- Head of each user's own log. A table apart from `users`, because its rows are locked and rewritten all the time.
create table viewer_logs (
  user_id uuid primary key references users on delete cascade,
  -- Begins anew with a restored backup, as in `rooms`.
  epoch uuid not null default gen_random_uuid(),
  last_seq bigint not null default 0
) with (fillfactor = 50);

insert into viewer_logs (user_id) select id from users;

-- What concerns one user alone, numbered without gaps under the row lock of its head.
create table viewer_events (
  user_id uuid not null references users on delete cascade,
  seq bigint not null,
  kind text not null,
  -- What it is about: a room, an invite, a notification, a scheduled message, or the user.
  subject_id uuid not null,
  data jsonb,
  created_at timestamptz(3) not null default now(),
  primary key (user_id, seq)
);

create index viewer_events_created_at on viewer_events using brin (created_at);

-- The transaction that changed a room last: which rooms have news since a position, without a clock that could lie.
alter table rooms add column changed_xid xid8 not null default pg_current_xact_id();
