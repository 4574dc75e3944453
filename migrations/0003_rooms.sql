create table rooms (
  id uuid primary key,
  -- Begins anew with a restored backup, so that cursors from the lost future are told apart.
  epoch uuid not null default gen_random_uuid(),
  kind text not null check (kind in ('PUBLIC', 'PRIVATE')),
  name text not null,
  slug text not null constraint rooms_slug_key unique,
  topic text,
  creator_id uuid not null references users,
  -- Head of the event log. Its row lock is held to commit, so seq order = commit order = visibility order.
  last_seq bigint not null default 0,
  member_count int not null default 0,
  -- Checked under the row lock: two owners who leave at once cannot both succeed.
  owner_count int not null default 0 constraint rooms_last_owner check (owner_count > 0),
  last_activity_at timestamptz(3) not null default now(),
  created_at timestamptz(3) not null default now(),
  constraint rooms_full check (member_count <= 5000)
);

create index rooms_public_activity on rooms (last_activity_at, id) where kind = 'PUBLIC';
create index rooms_public_members on rooms (member_count, id) where kind = 'PUBLIC';
create index rooms_public_name on rooms (lower(name), id) where kind = 'PUBLIC';
create index rooms_public_created on rooms (created_at, id) where kind = 'PUBLIC';

create table members (
  id uuid primary key,
  room_id uuid not null references rooms on delete cascade,
  user_id uuid not null references users,
  role text not null check (role in ('OWNER', 'MODERATOR', 'MEMBER')),
  -- Seq of the event that began this membership: an older removal of the same person is history.
  joined_seq bigint not null,
  joined_at timestamptz(3) not null default now(),
  constraint members_room_user_key unique (room_id, user_id)
);

create index members_user_id on members (user_id);

-- The room log: everything that lasts in a room, numbered without gaps.
create table room_events (
  room_id uuid not null references rooms on delete cascade,
  seq bigint not null,
  kind text not null,
  actor_id uuid,
  -- What it is about: a message, or the user of a membership.
  subject_id uuid not null,
  data jsonb,
  created_at timestamptz(3) not null default now(),
  primary key (room_id, seq)
);

create index room_events_created_at on room_events using brin (created_at);
