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

create index message_texts_grams on message_texts using gin (grams);
