-- Where a project's tokens are signed: whoever has a token of one of these key sets may come in as one of its roles.
create table project_jwks (
  id uuid primary key,
  project_id text not null references projects on delete cascade,
  -- Null: all branches.
  branch_id text references branches on delete cascade,
  jwks_url text not null,
  provider_name text not null,
  jwt_audience text,
  -- Null: the default roles.
  role_names jsonb,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index on project_jwks (project_id, created_at);
create index on project_jwks (branch_id) where branch_id is not null;
