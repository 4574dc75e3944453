create table scheduled_messages (
  id uuid primary key,
  room_id uuid not null references rooms on delete cascade,
  author_id uuid not null references users,
  content text not null,
  reply_to_id uuid references messages on delete set null,
  client_message_id text,
  -- SHA-256 of what was scheduled first, as in `messages`.
  request_hash bytea not null,
  send_at timestamptz(3) not null,
  status text not null default 'PENDING' check (status in ('PENDING', 'SENT', 'CANCELED', 'FAILED')),
  sent_message_id uuid references messages on delete set null,
  failure_reason text,
  -- Until when a node has it for sending. A lease only: what makes it exactly once is that one statement sends the
  -- message and sets the status.
  claimed_until timestamptz(3),
  created_at timestamptz(3) not null default now(),
  constraint scheduled_messages_client_message_id_key unique (author_id, client_message_id)
);

create index scheduled_messages_due on scheduled_messages (send_at) where status = 'PENDING';
create index scheduled_messages_author on scheduled_messages (author_id, send_at, id);
