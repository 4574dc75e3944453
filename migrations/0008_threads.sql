alter table messages
  add column reply_to_id uuid references messages on delete set null,
  add column thread_root_id uuid references messages on delete cascade,
  add column mentions_everyone boolean not null default false,
  add column pinned_at timestamptz(3),
  add column pinned_by_id uuid references users,
  add constraint messages_pin check ((pinned_at is null) = (pinned_by_id is null));

create index messages_timeline on messages (room_id, seq) where thread_root_id is null;
create index messages_thread on messages (thread_root_id, seq) where thread_root_id is not null;
create index messages_reply_to on messages (reply_to_id) where reply_to_id is not null;
create index messages_pinned on messages (room_id, pinned_at, id) where pinned_at is not null;
create index messages_everyone on messages (room_id, seq) where mentions_everyone;

create table reactions (
  message_id uuid not null references messages on delete cascade,
  emoji text not null,
  user_id uuid not null references users,
  -- Seq of the event that added it: the order of first use.
  seq bigint not null,
  primary key (message_id, emoji, user_id)
);

-- Who is mentioned by name. Counted by position, so that no counter can drift.
create table mentions (
  user_id uuid not null references users,
  room_id uuid not null references rooms on delete cascade,
  message_id uuid not null references messages on delete cascade,
  -- Seq of the message.
  seq bigint not null,
  primary key (user_id, room_id, seq)
);

create index mentions_message_id on mentions (message_id);

-- What message search looks at: the folded words, and hashes of their short pieces (see `messages/grams.ts`).
create table message_texts (
  message_id uuid primary key references messages on delete cascade,
  folded text not null,
  grams int[] not null
);

-- Every search reads the list of what is not sorted in yet: with 4 MB, the default, it takes 20 ms each time it looks at the
-- index, with 512 kB 2 ms. Sorting in smaller portions takes longer: 0.16 ms for each message instead of 0.04.
create index message_texts_grams on message_texts using gin (grams) with (gin_pending_list_limit = 512);

-- All parts of a statement see what was committed when it began; a function sees what was committed when it is called. These
-- are called under a lock that their rows are written under too, so they see all of them.

-- How many other emoji a message has. Called under the lock of the message.
create function count_other_emoji(reacted_id uuid, own_emoji text) returns bigint language sql volatile as $$
  select count(distinct emoji) from reactions where message_id = reacted_id and emoji <> own_emoji
$$;

-- How many messages of a room are pinned. Called where the row of the room is updated, which checks anew after waiting for it.
create function count_pinned(pinned_room_id uuid) returns bigint language sql volatile as $$
  select count(*) from messages where room_id = pinned_room_id and pinned_at is not null
$$;

-- Drops the mentions of a message but for those of some people, and how many they were. Called under the lock of the message.
create function drop_mentions(mentioning_id uuid, kept_ids uuid[]) returns bigint language sql volatile as $$
  with dropped as (delete from mentions where message_id = mentioning_id and user_id <> all(kept_ids) returning 1)
  select count(*) from dropped
$$;

-- Drops the reactions to a message. Called under the lock of the message.
create function drop_reactions(reacted_id uuid) returns bigint language sql volatile as $$
  with dropped as (delete from reactions where message_id = reacted_id returning 1)
  select count(*) from dropped
$$;
