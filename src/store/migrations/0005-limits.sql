-- What organizations may have beside what their plans say, how many projects they have, and projects on offer to another organization.

-- Values that an operator gave instead of the plan's, by the names of the code's table.
alter table organizations add column limits jsonb not null default '{}';

-- Kept by triggers, so that a creation need not count ten thousand rows. Not a column of organizations: every new project locks that row
-- as the one it refers to.
create table organization_counts (
  org_id text primary key references organizations on delete cascade,
  projects integer not null
);
insert into organization_counts (org_id, projects)
select o.id, (select count(*) from projects p where p.org_id = o.id and p.deleted_at is null) from organizations o;

create function count_new_organization() returns trigger language plpgsql as $$
begin
  insert into organization_counts (org_id, projects) values (new.id, 0);
  return null;
end $$;
create trigger count_new_organization after insert on organizations
  for each row execute function count_new_organization();

create function count_projects() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' and old.deleted_at is null then
    update organization_counts set projects = projects - 1 where org_id = old.org_id;
  end if;
  if tg_op <> 'DELETE' and new.deleted_at is null then
    update organization_counts set projects = projects + 1 where org_id = new.org_id;
  end if;
  return null;
end $$;

-- At the commit: creations of one organization wait for each other for no longer than that.
create constraint trigger count_new_project after insert on projects
  deferrable initially deferred for each row execute function count_projects();
create constraint trigger count_changed_project after update of org_id, deleted_at on projects
  deferrable initially deferred for each row
  when (old.org_id <> new.org_id or (old.deleted_at is null) <> (new.deleted_at is null)) execute function count_projects();
create constraint trigger count_gone_project after delete on projects
  deferrable initially deferred for each row when (old.deleted_at is null) execute function count_projects();

-- Whoever knows the id may take the project into an organization of his own, once, while who offered it still may.
-- The id is kept as SHA-256 only: 122 random bits need no slow hash.
create table transfer_requests (
  id_hash bytea primary key,
  project_id text not null references projects on delete cascade,
  -- The caller who offered it.
  offered_by jsonb not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index on transfer_requests (project_id);
create index on transfer_requests (expires_at);
