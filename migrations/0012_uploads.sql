-- What is stored outside of the database. A row is there before the first byte and until the last one is deleted, so nothing
-- that is stored can be forgotten.
create table files (
  -- Random (UUIDv4): it is the key in the storage, and all that protects the URL of a picture.
  id uuid primary key,
  owner_id uuid not null references users,
  -- What the image worker makes of it.
  purpose text not null check (purpose in ('ATTACHMENT', 'PICTURE')),
  -- INCOMING until all of it is there and accepted; DELETING once nothing can use it any more.
  status text not null default 'INCOMING'
    check (status in ('INCOMING', 'PROCESSING', 'READY', 'FAILED', 'DELETING')),
  -- What counts for its owner: the announced size while it comes in.
  byte_size bigint not null default 0,
  media_type text,
  sha256 bytea,
  -- Pixels as shown, ThumbHash in base64, and by size what is stored of an image: set with READY.
  width int,
  height int,
  thumbhash text,
  renditions jsonb,
  -- What is safe of a transfer that may be taken up again.
  progress jsonb,
  -- The request that sends it: a newer one takes over, and the older one finds out.
  transfer_id uuid,
  -- Whether the bytes are stored as they came: an image's are not once it was processed.
  has_upload boolean not null default true,
  -- Since when nothing refers to it; after a while it is deleted.
  unused_since timestamptz(3) default now(),
  -- Of an announced one: when all of it had come.
  created_at timestamptz(3) not null default now()
);

create index files_unused on files (unused_since) where unused_since is not null;
create index files_processing on files (created_at) where status = 'PROCESSING';
-- Images that are stored as they came though they need not be any more.
create index files_processed on files (id) where has_upload and renditions is not null;

alter table users
  -- Sum of `byte_size` over the files of a user: two uploads at once can't both take the last byte of a quota.
  add column stored_bytes bigint not null default 0,
  add column avatar_id uuid references files;
alter table rooms add column icon_id uuid references files;

create index users_avatar on users (avatar_id) where avatar_id is not null;
create index rooms_icon on rooms (icon_id) where icon_id is not null;

create table attachments (
  id uuid primary key,
  file_id uuid not null constraint attachments_file_key unique references files,
  room_id uuid not null references rooms on delete cascade,
  uploader_id uuid not null references users,
  filename text not null,
  media_kind text not null default 'OTHER' check (media_kind in ('IMAGE', 'VIDEO', 'AUDIO', 'OTHER')),
  -- Null until it is sent: only its uploader sees it.
  message_id uuid references messages on delete cascade,
  -- Seq of that message, and the place in it: the order of a room's files.
  seq bigint,
  position smallint not null default 0,
  -- The message that is to be sent with it.
  scheduled_message_id uuid references scheduled_messages on delete set null,
  -- Since when it waits for a message.
  unsent_since timestamptz(3) not null default now(),
  created_at timestamptz(3) not null default now(),
  constraint attachments_sent check ((message_id is null) = (seq is null))
);

create index attachments_message on attachments (message_id, position) where message_id is not null;
create index attachments_room on attachments (room_id, seq, position);
create index attachments_scheduled on attachments (scheduled_message_id, position)
  where scheduled_message_id is not null;
create index attachments_of_uploader on attachments (uploader_id) where message_id is null;
create index attachments_unsent on attachments (unsent_since) where message_id is null and scheduled_message_id is null;

-- So that a message without files is shown without asking for them.
alter table messages add column attachment_count smallint not null default 0;

-- Nothing refers to a file twice: what did and does no more (a deletion, another picture, a room that is purged) ends it.
create function release_file() returns trigger language plpgsql as $$
declare
  released uuid := case tg_table_name
    when 'attachments' then to_jsonb(old) ->> 'file_id'
    when 'users' then to_jsonb(old) ->> 'avatar_id'
    when 'rooms' then to_jsonb(old) ->> 'icon_id'
  end;
begin
  update files set status = 'DELETING', unused_since = now() where id = released;
  return null;
end
$$;

create trigger attachments_release after delete on attachments for each row execute function release_file();
create trigger users_release after update of avatar_id on users for each row
  when (old.avatar_id is not null and old.avatar_id is distinct from new.avatar_id) execute function release_file();
create trigger rooms_release after update of icon_id on rooms for each row
  when (old.icon_id is not null and old.icon_id is distinct from new.icon_id) execute function release_file();
create trigger rooms_deleted after delete on rooms for each row
  when (old.icon_id is not null) execute function release_file();

-- A tombstone has no files, whoever makes it: nodes of the release before know nothing of them. Before the update, so that
-- its files are locked before the room, as by whoever ends the processing of one.
create function drop_attachments() returns trigger language plpgsql as $$
begin
  delete from attachments where message_id = old.id;
  new.attachment_count := 0;
  return new;
end
$$;

create trigger messages_drop_attachments before update of deleted_at on messages for each row
  when (old.deleted_at is null and new.deleted_at is not null and old.attachment_count > 0)
  execute function drop_attachments();
