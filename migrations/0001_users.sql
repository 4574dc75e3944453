create table users (
  id uuid primary key,
  username text not null constraint users_username_key unique check (username = lower(username)),
  email text not null constraint users_email_key unique check (email = lower(email)),
  password_hash text not null,
  display_name text not null,
  bio text,
  role text not null default 'USER' check (role in ('USER', 'ADMIN')),
  created_at timestamptz(3) not null default now()
);
