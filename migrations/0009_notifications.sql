create table notifications (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  kind text not null check (kind in ('MENTION', 'REPLY', 'REACTION', 'INVITE')),
  actor_id uuid not null references users,
  message_id uuid references messages on delete cascade,
  invite_id uuid references invites on delete cascade,
  created_at timestamptz(3) not null default now(),
  read_at timestamptz(3),
  constraint notifications_subject check (num_nonnulls(message_id, invite_id) = 1)
);

-- Taken back and given again, a reaction is told of once.
create unique index notifications_once on notifications (user_id, kind, actor_id, message_id) where message_id is not null;
create index notifications_newest on notifications (user_id, created_at, id);
create index notifications_unread on notifications (user_id) where read_at is null;
create index notifications_message_id on notifications (message_id) where message_id is not null;

-- Messages from the operators. One row for each, however many people it is for: who gets it is decided when it is read.
create table announcements (
  id uuid primary key,
  publisher_id uuid not null references users,
  title text not null,
  content text not null,
  level text not null check (level in ('INFO', 'WARNING', 'CRITICAL')),
  -- Both null: for everyone.
  room_id uuid references rooms on delete cascade,
  user_ids uuid[],
  published_at timestamptz(3) not null default now(),
  expires_at timestamptz(3),
  retracted_at timestamptz(3),
  constraint announcements_audience check (room_id is null or user_ids is null)
);

create index announcements_newest on announcements (published_at, id) where retracted_at is null;

-- Their log, numbered under the lock of its one head.
create table announcement_log (
  id boolean primary key default true check (id),
  last_seq bigint not null default 0
);

insert into announcement_log default values;

create table announcement_events (
  seq bigint primary key,
  kind text not null check (kind in ('ANNOUNCEMENT_PUBLISHED', 'ANNOUNCEMENT_RETRACTED')),
  announcement_id uuid not null references announcements on delete cascade,
  created_at timestamptz(3) not null default now()
);

-- What one user has done with an announcement.
create table announcement_receipts (
  user_id uuid not null references users on delete cascade,
  announcement_id uuid not null references announcements on delete cascade,
  read_at timestamptz(3),
  dismissed_at timestamptz(3),
  primary key (user_id, announcement_id)
);
