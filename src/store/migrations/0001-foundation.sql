-- Users, organizations and their keys; projects, branches, endpoints, roles and databases; timelines; chains and operations.

create table settings (
  name text primary key,
  value text not null
);

create table users (
  id uuid primary key,
  email text not null unique,
  name text not null,
  created_at timestamptz not null default now()
);

create table organizations (
  id text primary key,
  name text not null,
  handle text not null unique,
  plan text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table members (
  id uuid primary key default gen_random_uuid(),
  org_id text not null references organizations on delete cascade,
  user_id uuid not null references users on delete cascade,
  role text not null,
  joined_at timestamptz not null default now(),
  unique (org_id, user_id)
);

-- Keys are kept as SHA-256 only: 64 random letters and digits need no slow hash.
create table api_keys (
  id bigint generated always as identity primary key,
  user_id uuid not null references users on delete cascade,
  name text not null,
  key_hash bytea not null unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  last_used_from text not null default '',
  revoked_at timestamptz
);

-- One row a data directory. `cell` is the engine that holds it; ids are unique over all cells.
create sequence uid_offsets start 16;
create table timelines (
  id text primary key,
  cell text not null,
  pg_major integer not null,
  state text not null check (state in ('making', 'pooled', 'owned', 'deleting')),
  uid_offset bigint not null,
  service_key_id text not null,
  created_at timestamptz not null default now()
);
create index on timelines (cell, state, pg_major, created_at) where state <> 'owned';

create table projects (
  id text primary key,
  cell text not null,
  org_id text not null references organizations,
  name text not null,
  region_id text not null,
  pg_major integer not null,
  store_passwords boolean not null,
  history_retention_seconds integer not null,
  endpoint_defaults jsonb not null,
  settings jsonb not null,
  creation_source text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  purging_at timestamptz
);
create index on projects (org_id, id) where deleted_at is null;
create index on projects (deleted_at) where deleted_at is not null;

create table branches (
  id text primary key,
  project_id text not null references projects on delete cascade,
  timeline_id text references timelines,
  name text not null,
  parent_id text references branches on delete set null,
  parent_lsn pg_lsn,
  parent_timestamp timestamptz,
  state text not null check (state in ('init', 'ready', 'resetting', 'archived')),
  pending_state text,
  state_changed_at timestamptz not null default now(),
  is_default boolean not null,
  protected boolean not null,
  logical_size_bytes bigint,
  annotation jsonb not null default '{}',
  creation_source text not null,
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  purging_at timestamptz
);
create unique index branch_name on branches (project_id, name) where deleted_at is null;
create unique index branch_default on branches (project_id) where is_default and deleted_at is null;
create index on branches (parent_id);
create index on branches (timeline_id);
create index on branches (deleted_at) where deleted_at is not null;

create table endpoints (
  id text primary key,
  project_id text not null references projects on delete cascade,
  branch_id text not null references branches on delete cascade,
  name text,
  region_id text not null,
  type text not null check (type in ('read_write', 'read_only')),
  autoscaling_limit_min_cu double precision not null,
  autoscaling_limit_max_cu double precision not null,
  suspend_timeout_seconds integer not null,
  pg_settings jsonb not null default '{}',
  preload_libraries jsonb not null default '[]',
  disabled boolean not null default false,
  last_active_at timestamptz,
  started_at timestamptz,
  suspended_at timestamptz,
  creation_source text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index endpoint_read_write on endpoints (branch_id) where type = 'read_write' and deleted_at is null;
create index on endpoints (project_id);
create index on endpoints (branch_id);

create table roles (
  branch_id text not null references branches on delete cascade,
  name text not null,
  authentication_method text not null check (authentication_method in ('password', 'no_login')),
  protected boolean not null default false,
  verifier text,
  encrypted_password bytea,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleting boolean not null default false,
  primary key (branch_id, name)
);

create table databases (
  id bigint generated always as identity primary key,
  branch_id text not null references branches on delete cascade,
  name text not null,
  owner_name text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleting boolean not null default false,
  unique (branch_id, name)
);

-- A chain is what one call sets going: its operations run in order, or are undone in reverse.
create table chains (
  id uuid primary key,
  project_id text not null references projects on delete cascade,
  cell text not null,
  kind text not null,
  state text not null check (state in ('running', 'undoing', 'finished', 'failed')),
  input jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
);
create index on chains (cell, project_id, created_at) where state in ('running', 'undoing');
create index on chains (project_id);

create table operations (
  id uuid primary key,
  chain_id uuid not null references chains on delete cascade,
  project_id text not null,
  branch_id text,
  endpoint_id text,
  position integer not null,
  action text not null,
  status text not null,
  error text,
  failures_count integer not null default 0,
  retry_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  total_duration_ms integer not null default 0
);
create index on operations (chain_id, position);
create index on operations (project_id, created_at desc, id desc);

create table idempotency_keys (
  user_id uuid not null references users on delete cascade,
  key text not null,
  fingerprint text not null,
  process text not null,
  status integer,
  body text,
  created_at timestamptz not null default now(),
  primary key (user_id, key)
);
create index on idempotency_keys (created_at);
