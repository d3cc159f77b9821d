-- A visitor's token says who he is; the database decides what he sees. The API sets the token's claims for each transaction,
-- and `auth.user_id()` reads them.
create role authenticated nologin;
grant authenticated to current_user;

create table notes (
  id bigint generated always as identity primary key,
  user_id text not null default auth.user_id(),
  what text not null check (length(what) between 1 and 500),
  written_at timestamptz not null default now()
);
alter table notes enable row level security;
create policy own on notes to authenticated
  using ((select auth.user_id()) = user_id)
  with check ((select auth.user_id()) = user_id);

grant usage on schema public to authenticated;
grant select, insert, delete on notes to authenticated;
