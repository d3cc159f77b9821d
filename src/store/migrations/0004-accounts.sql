-- Whose a key is, who runs the installation, invitations, shared projects, and the log of who did what.

-- The moment, not the transaction's: organizations that one transaction makes are listed in their order.
alter table organizations alter column created_at set default clock_timestamp();

alter table users add column is_operator boolean not null default false;
-- Where a personal key creates projects without naming an organization. Null: the first one joined.
alter table users add column default_org_id text references organizations on delete set null;
update users set is_operator = true where id = (select id from users order by created_at, id limit 1);
update users set default_org_id = (select m.org_id from members m where m.user_id = users.id order by m.joined_at, m.org_id limit 1);
-- Invitations and shared projects find a user by his address, however it was written.
create unique index user_address on users (lower(email));

create index on members (user_id);

-- `user_id` made the key. `user`: it is his; `organization`: it is the organization's; `project`: it opens one project of it.
alter table api_keys add column kind text not null default 'user' check (kind in ('user', 'organization', 'project'));
alter table api_keys add column org_id text references organizations on delete cascade;
alter table api_keys add column project_id text references projects on delete cascade;
alter table api_keys alter column kind drop default;
alter table api_keys add constraint api_key_owner check (
  (kind = 'user') = (org_id is null) and (kind = 'project') = (project_id is not null)
);
create index on api_keys (user_id, id) where revoked_at is null;
create index on api_keys (org_id, id) where org_id is not null and revoked_at is null;
create index on api_keys (project_id) where project_id is not null;
create index on api_keys (revoked_at) where revoked_at is not null;

create table invitations (
  id uuid primary key default gen_random_uuid(),
  org_id text not null references organizations on delete cascade,
  email text not null,
  role text not null,
  invited_by uuid not null references users on delete cascade,
  invited_at timestamptz not null default clock_timestamp(),
  unique (org_id, email)
);
create index on invitations (email);

create table project_permissions (
  id uuid primary key default gen_random_uuid(),
  project_id text not null references projects on delete cascade,
  granted_to_email text not null,
  granted_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz
);
create unique index project_permission_live on project_permissions (project_id, granted_to_email) where revoked_at is null;
create index on project_permissions (granted_to_email) where revoked_at is null;
create index on project_permissions (revoked_at) where revoked_at is not null;

-- No references: what was done stays known when what it was done to, or by whom, is gone.
create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  org_id text,
  actor_kind text not null,
  user_id uuid,
  key_id bigint,
  key_name text,
  operation_id text not null,
  resources jsonb not null,
  status integer not null,
  request_id text not null,
  peer text not null
);
create index on audit_log (org_id, id desc);
create index on audit_log (at);

-- A stored answer is for whom it was given to, and never for another kind of key of the same person.
alter table idempotency_keys add column subject text;
update idempotency_keys set subject = 'user:' || user_id;
alter table idempotency_keys alter column subject set not null;
alter table idempotency_keys drop constraint idempotency_keys_pkey;
alter table idempotency_keys add primary key (subject, key);
alter table idempotency_keys drop column user_id;
