create table sessions (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  client_name text,
  ip_address text,
  created_at timestamptz(3) not null default now(),
  last_used_at timestamptz(3) not null default now(),
  expires_at timestamptz(3) not null,
  ended_at timestamptz(3)
);

create index sessions_user_id on sessions (user_id) where ended_at is null;
-- Read by every node when it starts: which access tokens must no longer be believed.
create index sessions_ended_at on sessions (ended_at) where ended_at is not null;

-- Every refresh token that a session had: the unused one, and the used ones by which a theft is noticed.
create table refresh_tokens (
  hash bytea primary key,
  session_id uuid not null references sessions on delete cascade,
  used_at timestamptz(3)
);

create index refresh_tokens_session_id on refresh_tokens (session_id);
