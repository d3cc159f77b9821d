-- Sign-in for tenants' apps. Users live in the tenant's own database; here is what must not be copied, restored or read with it.
create table auth_integrations (
  -- What its clients call the project id of the auth provider.
  id uuid primary key,
  project_id text not null references projects on delete cascade,
  branch_id text not null references branches on delete cascade,
  database_name text not null,
  provider text not null check (provider in ('mock', 'stack', 'better_auth')),
  owned_by text not null default 'neon' check (owned_by in ('user', 'neon')),
  transfer_status text check (transfer_status in ('initiated', 'finished')),
  -- Null: the project's name.
  name text,
  settings jsonb not null,
  -- Null: shared. Sealed as a whole: it holds a password.
  email_server bytea,
  -- Raised by every change of the integration or of what hangs on it.
  version bigint not null default 1,
  -- Which data has been made ready for it, and by which version of the schema. Where that is not what its branch has now, the data is a copy
  -- or has been restored: sessions and codes in it are removed before anybody is served from it.
  prepared_timeline_id text,
  prepared_version integer,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (branch_id)
);
create index on auth_integrations (project_id, created_at);

create table auth_keys (
  id uuid primary key,
  integration_id uuid not null references auth_integrations on delete cascade,
  kind text not null check (kind in ('publishable', 'secret')),
  -- 256 random bits need no slow hash.
  sha256 bytea not null unique,
  created_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz
);
create index on auth_keys (integration_id);

create table auth_signing_keys (
  kid text primary key,
  integration_id uuid not null references auth_integrations on delete cascade,
  public_jwk jsonb not null,
  private_jwk bytea not null,
  created_at timestamptz not null default clock_timestamp()
);
create index on auth_signing_keys (integration_id, created_at);

create table auth_oauth_providers (
  integration_id uuid not null references auth_integrations on delete cascade,
  provider text not null check (provider in ('google', 'github', 'microsoft', 'vercel')),
  type text not null check (type in ('standard', 'shared')),
  client_id text,
  client_secret bytea,
  microsoft_tenant_id text,
  created_at timestamptz not null default clock_timestamp(),
  primary key (integration_id, provider)
);

create table auth_domains (
  integration_id uuid not null references auth_integrations on delete cascade,
  domain text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (integration_id, domain)
);

-- Mails on their way, and those that stay here because no server takes them: the development mailbox.
create table auth_mails (
  id uuid primary key,
  integration_id uuid not null references auth_integrations on delete cascade,
  kind text not null,
  -- Hash of the address, to count what one is sent.
  recipient bytea not null,
  -- Recipient, subject and text, sealed: links in it sign people in. Empty once it was sent or given up.
  content bytea not null,
  -- By the operator's mail server, not by one of the integration's own.
  is_shared boolean not null,
  state text not null default 'queued' check (state in ('queued', 'sent', 'failed', 'kept')),
  attempts integer not null default 0,
  due_at timestamptz not null default clock_timestamp(),
  last_error text,
  created_at timestamptz not null default clock_timestamp()
);
create index on auth_mails (is_shared, due_at) where state = 'queued';
create index on auth_mails (integration_id, due_at) where state = 'queued';
create index on auth_mails (integration_id, created_at);

-- What has happened in an integration and its webhook is still to hear of.
create table auth_events (
  -- From the tenant's database: it says nothing of another integration's.
  id uuid not null,
  integration_id uuid not null references auth_integrations on delete cascade,
  type text not null,
  body jsonb not null,
  occurred_at timestamptz not null,
  attempts integer not null default 0,
  due_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  primary key (integration_id, id)
);
create index on auth_events (due_at);

-- Key sets of our own: they are read here, not fetched.
alter table project_jwks add column auth_integration_id uuid references auth_integrations on delete cascade;
create index on project_jwks (auth_integration_id) where auth_integration_id is not null;
