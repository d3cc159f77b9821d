-- What an account may still ask for in each of its buckets. Not worth a log: after a crash every budget begins anew.
create unlogged table rate_budgets (
  name text primary key,
  level double precision not null,
  granted double precision not null,
  refilled_at timestamptz not null
) with (fillfactor = 50);

-- Written as in PGROVE_RATE_LIMIT. Null: as everybody's.
alter table organizations add column rate_limit text;
alter table users add column rate_limit text;

-- Whether the address may lead into a private network: decided by who named it. What is there was named by admins.
alter table project_jwks add column private_allowed boolean not null default true;
alter table project_jwks alter column private_allowed drop default;
