alter table users
  add column suspended_at timestamptz(3),
  -- A deleted account stays as a placeholder, so that what it wrote has an author.
  add column deleted_at timestamptz(3),
  add column last_seen_at timestamptz(3),
  -- What others see while the user is connected; OFFLINE is invisible.
  add column presence text not null default 'ONLINE'
    check (presence in ('ONLINE', 'AWAY', 'DO_NOT_DISTURB', 'OFFLINE'));

create index users_username_prefix on users (username text_pattern_ops);
create index users_display_name_prefix on users (lower(display_name) text_pattern_ops);

create table blocks (
  blocker_id uuid not null references users on delete cascade,
  blocked_id uuid not null references users on delete cascade,
  created_at timestamptz(3) not null default now(),
  primary key (blocker_id, blocked_id),
  constraint blocks_self check (blocker_id <> blocked_id)
);

create index blocks_blocked_id on blocks (blocked_id);
