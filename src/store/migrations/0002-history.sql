-- Images of timelines, snapshots, what restores and time limits add to branches.

-- Where a timeline's history begins: nothing before this point of its log was ever its branch's.
alter table timelines add column birth_lsn pg_lsn;
alter table timelines add column birth_at timestamptz;
-- A subscription was seen in it, or in what it was made of: a copy must not receive in its place.
alter table timelines add column has_subscriptions boolean not null default false;

-- A copy of a data directory that never changes: a template's, or one taken of a timeline. `redo_lsn`: its log is replayed from here.
-- `whole_lsn`: from here on it is one moment of its source.
create table images (
  id text primary key,
  cell text not null,
  state text not null check (state in ('making', 'ready', 'deleting')),
  template text,
  pg_major integer not null,
  checkpoint_lsn pg_lsn,
  redo_lsn pg_lsn,
  whole_lsn pg_lsn,
  tli integer,
  whole_at timestamptz,
  created_at timestamptz not null default clock_timestamp()
);
create unique index on images (cell, template) where template is not null;
create index on images (cell, state) where state <> 'ready';

-- The images a timeline's past can be replayed from. A branch begins with those of its parent that reach back before its own birth.
create table timeline_images (
  timeline_id text not null references timelines on delete cascade,
  image_id text not null references images,
  primary key (timeline_id, image_id)
);
create index on timeline_images (image_id);

-- A snapshot is an image and the log up to a point, in a folder of its own: it needs neither its branch nor its branch's history.
create table snapshots (
  id text primary key,
  project_id text not null references projects on delete cascade,
  cell text not null,
  source_branch_id text not null,
  backing_branch_id text not null,
  state text not null check (state in ('making', 'ready', 'deleting')),
  name text not null,
  manual boolean not null,
  metadata jsonb not null default '{}',
  -- As it was asked for: at most one of them.
  requested_lsn pg_lsn,
  requested_at timestamptz,
  image_id text references images,
  point_lsn pg_lsn,
  point_at timestamptz not null,
  pg_major integer not null,
  uid_offset bigint not null,
  service_key_id text not null,
  has_subscriptions boolean not null,
  roles jsonb not null,
  databases jsonb not null,
  wal_id text not null,
  full_size_bytes bigint,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz
);
create index on snapshots (project_id, created_at desc);
create index on snapshots (image_id);
create index on snapshots (expires_at) where expires_at is not null;
create index on snapshots (cell, state) where state <> 'ready';

create table snapshot_schedules (
  branch_id text primary key references branches on delete cascade,
  items jsonb not null,
  -- When each item was last due and dealt with, so that a restart makes none twice.
  done_until timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

alter table branches add column expires_at timestamptz;
alter table branches add column ttl_interval_seconds bigint;
alter table branches add column deletion_method text;
alter table branches add column last_reset_at timestamptz;
alter table branches add column init_source text not null default 'parent-data';
alter table branches add column restore_status text;
alter table branches add column restored_from text;
alter table branches add column restored_as text;
-- What its past costs on disk: log, and what its images hold alone.
alter table branches add column history_bytes bigint;
-- Being made to take the place of `timeline_id`.
alter table branches add column incoming_timeline_id text references timelines;
create index on branches (expires_at) where expires_at is not null and deleted_at is null;
create index on branches (incoming_timeline_id) where incoming_timeline_id is not null;
