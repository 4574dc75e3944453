create table messages (
  id uuid primary key,
  room_id uuid not null references rooms on delete cascade,
  -- Seq of the event that sent it: the order of history is the order of the log.
  seq bigint not null,
  author_id uuid not null references users,
  -- Null once deleted: a tombstone keeps its place, not its words.
  content text,
  client_message_id text,
  -- SHA-256 of what was sent first: a retry is told from another message even after an edit.
  request_hash bytea not null,
  created_at timestamptz(3) not null default now(),
  edited_at timestamptz(3),
  deleted_at timestamptz(3),
  constraint messages_room_seq_key unique (room_id, seq),
  constraint messages_client_message_id_key unique (author_id, client_message_id),
  constraint messages_tombstone check ((content is null) = (deleted_at is not null))
);
