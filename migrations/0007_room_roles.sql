alter table rooms
  alter column name drop not null,
  alter column slug drop not null,
  add column slow_mode_seconds int not null default 0 check (slow_mode_seconds between 0 and 21600),
  -- Grows with every ban: a join that has not seen the newest one starts over.
  add column ban_count int not null default 0,
  -- The sorted ids of a direct conversation's people: one conversation for each set of them.
  add column direct_key text constraint rooms_direct_key unique,
  -- A deleted room is private and without members, so nobody can see it, until its rows are cut.
  add column deleted_at timestamptz(3),
  drop constraint rooms_kind_check,
  add constraint rooms_kind_check check (kind in ('PUBLIC', 'PRIVATE', 'DIRECT')),
  add constraint rooms_name_check check ((kind = 'DIRECT') = (name is null)),
  add constraint rooms_slug_check check ((kind = 'DIRECT' or deleted_at is not null) = (slug is null)),
  add constraint rooms_direct_check check ((kind = 'DIRECT') = (direct_key is not null)),
  drop constraint rooms_last_owner,
  add constraint rooms_last_owner check (owner_count > 0 or kind = 'DIRECT' or deleted_at is not null);

create index rooms_deleted_at on rooms (deleted_at) where deleted_at is not null;

alter table members
  add column muted_until timestamptz(3),
  add column notification_level text not null default 'ALL' check (notification_level in ('ALL', 'MENTIONS', 'NONE')),
  -- Seq of the last message read; of the join, until there is one. Only moves forward.
  add column last_read_seq bigint not null default 0,
  add column last_read_at timestamptz(3),
  -- Kept only in rooms with slow mode.
  add column last_sent_at timestamptz(3);

update members set last_read_seq = joined_seq;

create table invites (
  id uuid primary key,
  room_id uuid not null references rooms on delete cascade,
  inviter_id uuid not null references users,
  invitee_id uuid not null references users,
  status text not null default 'PENDING'
    check (status in ('PENDING', 'ACCEPTED', 'DECLINED', 'REVOKED', 'EXPIRED')),
  created_at timestamptz(3) not null default now(),
  expires_at timestamptz(3) not null
);

create unique index invites_pending on invites (room_id, invitee_id) where status = 'PENDING';
create index invites_room on invites (room_id, created_at, id) where status = 'PENDING';
create index invites_invitee on invites (invitee_id, created_at, id) where status = 'PENDING';
create index invites_expires_at on invites (expires_at) where status = 'PENDING';

create table bans (
  id uuid primary key,
  room_id uuid not null references rooms on delete cascade,
  user_id uuid not null references users,
  moderator_id uuid not null references users,
  reason text,
  created_at timestamptz(3) not null default now(),
  expires_at timestamptz(3),
  constraint bans_room_user_key unique (room_id, user_id)
);

-- What one person wrote in a room of late, for the ban that deletes it.
create index messages_author on messages (room_id, author_id, created_at);
