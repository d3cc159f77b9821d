-- The Data API of a branch's database. Its roles and grants lie in the data and go with it; that it is on does not.
create table data_apis (
  id uuid primary key,
  project_id text not null references projects on delete cascade,
  branch_id text not null references branches on delete cascade,
  database_name text not null,
  auth_provider text not null check (auth_provider in ('neon_auth', 'external')),
  jwt_audience text,
  add_default_grants boolean not null,
  skip_auth_schema boolean not null,
  -- As they were given. Null: never.
  settings jsonb,
  -- Raised by every change of this row.
  version bigint not null default 1,
  -- Which data has been made ready for it: another one may be from before its roles were made.
  prepared_timeline_id text,
  -- When they were looked at last.
  available_schemas jsonb,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (branch_id, database_name)
);
create index on data_apis (project_id);

-- One that was given along with a Data API goes with it.
alter table project_jwks add column data_api_id uuid references data_apis on delete cascade;
create index on project_jwks (data_api_id) where data_api_id is not null;
