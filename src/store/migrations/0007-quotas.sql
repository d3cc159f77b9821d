-- What quotas say of projects and branches, events, and where they are sent.

-- Quotas of the period that are no longer fine (`UsageStanding[]`); null where all of them are.
alter table projects add column usage_standings jsonb;
create index on projects (cell) where usage_standings is not null;
-- What the size quota says of a branch (`SizeStanding`); null where it is fine.
alter table branches add column size_standing jsonb;
create index on branches (project_id) where size_standing is not null;

-- Without foreign keys to projects and branches: what is told of them outlives them.
create table events (
  id bigint generated always as identity primary key,
  org_id text not null references organizations on delete cascade,
  project_id text,
  branch_id text,
  kind text not null,
  message text not null,
  details jsonb not null default '{}',
  -- What is said once, has a name here.
  once text,
  created_at timestamptz not null default clock_timestamp()
);
create unique index event_once on events (once) where once is not null;
create index on events (org_id, id desc);
create index on events (project_id, id desc) where project_id is not null;
create index on events (created_at);

create table webhooks (
  org_id text primary key references organizations on delete cascade,
  url text not null,
  -- Sealed with the master key.
  secret bytea not null,
  -- Whoever set it may name addresses of private networks.
  private_allowed boolean not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_delivered_at timestamptz,
  last_failed_at timestamptz,
  last_error text
);

-- Events that are still to be sent. A row goes when its receiver has taken it, or when it is a day old.
create table webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  org_id text not null references webhooks on delete cascade,
  event_id bigint not null references events on delete cascade,
  attempts integer not null default 0,
  -- Not before this time; whoever takes it up puts it ahead, so that nobody else does meanwhile.
  due_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);
create index on webhook_deliveries (due_at);
create index on webhook_deliveries (org_id, event_id);
create index on webhook_deliveries (event_id);
