-- What usage cost: credits that an operator gave, limits that alert, and periods that are over. Amounts are in hundred-millionths of
-- the currency that the installation's prices are in.

-- Corrections are grants below zero.
create table credits (
  id bigint generated always as identity primary key,
  org_id text not null references organizations on delete cascade,
  amount numeric(30, 0) not null,
  note text not null default '',
  -- Who gave it: a user, or whoever runs the installation from its machine.
  granted_by uuid references users on delete set null,
  created_at timestamptz not null default clock_timestamp()
);
create index on credits (org_id, id);

create table spending_limits (
  org_id text primary key references organizations on delete cascade,
  cents bigint not null check (cents >= 1),
  -- What was said last: of which period, and how much of the limit.
  alerted_period timestamptz,
  alerted_percent integer,
  updated_at timestamptz not null default now()
);

-- A period that is over, at the prices of its end. Without foreign keys to projects: what is purged was used all the same.
create table statements (
  org_id text not null references organizations on delete cascade,
  period_start timestamptz not null,
  currency text not null,
  lines jsonb not null,
  total numeric(30, 0) not null,
  credits_used numeric(30, 0) not null,
  closed_at timestamptz not null default now(),
  primary key (org_id, period_start)
);
create table statement_projects (
  org_id text not null,
  period_start timestamptz not null,
  project_id text not null,
  lines jsonb not null,
  total numeric(30, 0) not null,
  primary key (org_id, period_start, project_id),
  foreign key (org_id, period_start) references statements on delete cascade
);
