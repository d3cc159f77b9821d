-- What was used, by the hour; the readings it was computed from; levels of storage; whose each project was.
--
-- Nothing here refers to projects, branches or endpoints: what has been purged was used all the same, and is billed.

-- One row a control plane. `delivered` is the number of the last delivery of its process (`run`) that was taken: one that comes twice
-- changes nothing. `alive_at`: until then its computes are known to have run.
create table usage_cells (
  cell text primary key,
  run text not null,
  delivered bigint not null,
  alive_at timestamptz not null
);

-- By the organization at that time, so that a transfer splits the bill. `endpoint_id` is empty where no endpoint served.
create table usage_hours (
  project_id text not null,
  hour timestamptz not null,
  branch_id text not null,
  endpoint_id text not null,
  org_id text not null,
  active_ms bigint not null,
  -- CU × milliseconds.
  compute_cu_ms double precision not null,
  written_bytes bigint not null,
  transfer_bytes bigint not null,
  primary key (project_id, hour, branch_id, endpoint_id, org_id)
);
create index on usage_hours (hour);

-- Computes that serve an endpoint, and since when they have not been accounted for. Until `usage_cells.alive_at` they ran.
create table usage_running (
  timeline_id text primary key,
  cell text not null,
  project_id text not null,
  branch_id text not null,
  endpoint_id text not null,
  cu double precision not null,
  since timestamptz not null
);
create index on usage_running (project_id);
create index on usage_running (cell);

-- Up to where a timeline's log is accounted for, and how much that was since its branch has it.
create table usage_logs (
  timeline_id text primary key,
  lsn pg_lsn not null,
  written_bytes bigint not null
);

-- Totals of a run of the proxy that are accounted for.
create table usage_edges (
  cell text not null,
  run text not null,
  endpoint_id text not null,
  bytes bigint not null,
  primary key (cell, run, endpoint_id)
);

-- Whose a project was, from when to when; `ended_at` null: it still is. Deleted, it is nobody's.
create table usage_owners (
  project_id text not null,
  since timestamptz not null,
  ended_at timestamptz,
  org_id text not null,
  project_created_at timestamptz not null,
  primary key (project_id, since)
);
create index on usage_owners (org_id, project_created_at desc, project_id desc);

-- Values that hold until the next row of their kind. Branch: `exists` (1 or 0), `logical`, `root` and `child` (its data, as what it is),
-- `history`. Project (`branch_id` empty): `snapshots`.
create table usage_levels (
  project_id text not null,
  branch_id text not null,
  kind text not null check (kind in ('exists', 'logical', 'root', 'child', 'history', 'snapshots')),
  since timestamptz not null,
  value bigint not null,
  primary key (project_id, branch_id, kind, since)
);

-- Triggers, since ownership and sizes are written in many places and none may be forgotten.

create function note_project_owner() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then
    update usage_owners set ended_at = now() where project_id = old.id and ended_at is null;
  end if;
  if tg_op <> 'DELETE' and new.deleted_at is null then
    insert into usage_owners (project_id, since, ended_at, org_id, project_created_at)
    values (new.id, now(), null, new.org_id, new.created_at)
    on conflict (project_id, since) do update set org_id = excluded.org_id, ended_at = null;
  end if;
  return null;
end $$;
create trigger note_new_owner after insert on projects for each row execute function note_project_owner();
create trigger note_other_owner after update of org_id, deleted_at on projects for each row
  when (old.org_id <> new.org_id or (old.deleted_at is null) <> (new.deleted_at is null)) execute function note_project_owner();
create trigger note_owner_gone after delete on projects for each row when (old.deleted_at is null) execute function note_project_owner();

-- A row only where the value is another one.
create function note_level(noted_project text, noted_branch text, noted_kind text, noted_value bigint, noted_at timestamptz)
returns void language plpgsql as $$
declare
  last bigint;
begin
  select value into last from usage_levels
   where project_id = noted_project and branch_id = noted_branch and kind = noted_kind order by since desc limit 1;
  if coalesce(last, 0) = noted_value then return; end if;
  insert into usage_levels (project_id, branch_id, kind, since, value)
  values (noted_project, noted_branch, noted_kind, noted_at, noted_value)
  on conflict (project_id, branch_id, kind, since) do update set value = excluded.value;
end $$;

-- A child has what it changed, and never more than it holds.
create function note_branch_levels(branch branches, is_there boolean) returns void language plpgsql as $$
declare
  size bigint := case when is_there then coalesce(branch.logical_size_bytes, 0) else 0 end;
  changed bigint;
begin
  if branch.parent_id is not null then
    select written_bytes into changed from usage_logs where timeline_id = branch.timeline_id;
  end if;
  perform note_level(branch.project_id, branch.id, 'exists', is_there::int, now());
  perform note_level(branch.project_id, branch.id, 'logical', size, now());
  perform note_level(branch.project_id, branch.id, 'root', case when branch.parent_id is null then size else 0 end, now());
  perform note_level(branch.project_id, branch.id, 'child',
                     case when branch.parent_id is null then 0 else least(size, coalesce(changed, size)) end, now());
  perform note_level(branch.project_id, branch.id, 'history',
                     case when is_there then coalesce(branch.history_bytes, 0) else 0 end, now());
end $$;

create function note_branch() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into usage_levels (project_id, branch_id, kind, since, value) values (new.project_id, new.id, 'exists', now(), 1);
  elsif tg_op = 'DELETE' then
    perform note_branch_levels(old, false);
  else
    perform note_branch_levels(new, new.deleted_at is null);
  end if;
  return null;
end $$;
create trigger note_new_branch after insert on branches for each row execute function note_branch();
create trigger note_changed_branch after update of logical_size_bytes, history_bytes, parent_id, deleted_at on branches for each row
  when ((old.logical_size_bytes, old.history_bytes, old.parent_id, old.deleted_at)
        is distinct from (new.logical_size_bytes, new.history_bytes, new.parent_id, new.deleted_at))
  execute function note_branch();
create trigger note_gone_branch after delete on branches for each row when (old.deleted_at is null) execute function note_branch();

create function note_snapshots() returns trigger language plpgsql as $$
declare
  noted_project text := case when tg_op = 'DELETE' then old.project_id else new.project_id end;
  size bigint;
begin
  select coalesce(sum(full_size_bytes), 0) into size from snapshots where project_id = noted_project and state = 'ready';
  perform note_level(noted_project, '', 'snapshots', size, now());
  return null;
end $$;
create trigger note_changed_snapshot after update of state, full_size_bytes on snapshots for each row execute function note_snapshots();
create trigger note_gone_snapshot after delete on snapshots for each row when (old.state = 'ready') execute function note_snapshots();

-- What is there already has been its owner's since it was made; its size is known from now on.
insert into usage_owners (project_id, since, ended_at, org_id, project_created_at)
select id, created_at, null, org_id, created_at from projects where deleted_at is null;
insert into usage_levels (project_id, branch_id, kind, since, value)
select project_id, id, 'exists', created_at, 1 from branches where deleted_at is null;
select note_branch_levels(b, true) from branches b where b.deleted_at is null;
insert into usage_levels (project_id, branch_id, kind, since, value)
select project_id, '', 'snapshots', now(), sum(full_size_bytes) from snapshots where state = 'ready' and full_size_bytes > 0 group by project_id;
