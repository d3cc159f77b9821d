// What is asked of the catalogs, each in one statement whose answer is one JSON text. Names are written in full: whatever the search path is.

const notOurs = `n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'`

/** Relations with their columns, in order. */
export const relationsQuery = `
with recursive base as (
  select t.oid, case when t.typtype = 'd' then t.typbasetype else t.oid end as next, t.oid as root
    from pg_catalog.pg_type t
  union all
  select b.next, t.typbasetype, b.root from base b join pg_catalog.pg_type t on t.oid = b.next and t.typtype = 'd'
), bottom as (
  select root, oid as base from base b where not exists (select from pg_catalog.pg_type t where t.oid = b.oid and t.typtype = 'd')
)
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'rowType', c.reltype::bigint,
  'updatable', case when c.relkind = 'm' then 0 else pg_catalog.pg_relation_is_updatable(c.oid, true) end,
  'columns', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'number', a.attnum, 'name', a.attname,
      'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'baseType', pg_catalog.format_type(coalesce(b.base, a.atttypid), null),
      'typeName', pg_catalog.json_build_object('schema', tn.nspname, 'name', t.typname),
      'default', case when a.attidentity <> '' then 'identity' when a.attgenerated = '' then coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), t.typdefault) end,
      'sequence', case when a.attidentity <> '' then pg_catalog.pg_get_serial_sequence(pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), a.attname) end
    ) order by a.attnum), '[]')
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
    left join bottom b on b.root = a.atttypid
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  )
)), '[]')::text
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'v', 'm', 'f', 'p') and not c.relispartition and ${notOurs}`

/** Keys: primary, unique, foreign; by numbers of columns. Those of partitions are their parents'. */
export const constraintsQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', con.conname, 'kind', con.contype, 'relation', con.conrelid::bigint, 'columns', con.conkey,
  'foreign', con.confrelid::bigint, 'foreignColumns', con.confkey
) order by con.conrelid, con.conname), '[]')::text
from pg_catalog.pg_constraint con
where con.contype in ('p', 'u', 'f') and con.conparentid = 0`

/** Unique indexes that are no constraints, of whole columns and all rows. */
export const uniqueIndexesQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('relation', i.indrelid::bigint, 'columns', i.indkey::int2[])), '[]')::text
from pg_catalog.pg_index i
where i.indisunique and i.indpred is null and i.indexprs is null and i.indnkeyatts = i.indnatts`

/** The rules by which views are read. */
export const viewsQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('view', c.oid::bigint, 'rule', r.ev_action::text)), '[]')::text
from pg_catalog.pg_rewrite r
join pg_catalog.pg_class c on c.oid = r.ev_class
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where r.rulename = '_RETURN' and c.relkind in ('v', 'm') and ${notOurs}`

/** $1: schemas. Functions that can be called, or that belong to rows. */
export const functionsQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'schema', n.nspname, 'name', p.proname,
  'names', p.proargnames, 'modes', p.proargmodes,
  'types', (select pg_catalog.json_agg(pg_catalog.format_type(x.type, null) order by x.at) from pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as x(type, at)),
  'typeIds', coalesce(p.proallargtypes, p.proargtypes::oid[])::bigint[],
  'defaults', p.pronargdefaults,
  'isSet', p.proretset, 'rows', p.prorows, 'volatility', p.provolatile,
  'returnType', pg_catalog.json_build_object('schema', tn.nspname, 'name', t.typname, 'id', t.oid::bigint, 'kind', t.typtype, 'relation', coalesce(bt.typrelid, t.typrelid)::bigint, 'isDomain', t.typtype = 'd', 'baseKind', coalesce(bt.typtype, t.typtype)),
  'settings', p.proconfig
) order by p.oid), '[]')::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_type t on t.oid = p.prorettype
join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
left join pg_catalog.pg_type bt on bt.oid = t.typbasetype
where p.prokind = 'f' and n.nspname = any($1::text[]) and t.typname not in ('trigger', 'event_trigger', 'internal', 'language_handler', 'index_am_handler')`

/** $1: schemas. Functions and aggregates whose result is a domain named like a media type. */
export const mediaHandlersQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'mediaType', pg_catalog.lower(t.typname), 'schema', n.nspname, 'name', p.proname,
  'kind', p.prokind, 'argument', p.proargtypes[0]::bigint, 'isAny', p.proargtypes[0] = 'pg_catalog.anyelement'::pg_catalog.regtype
)), '[]')::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_type t on t.oid = p.prorettype
where n.nspname = any($1::text[]) and p.prokind = 'a' and p.pronargs = 1
  and t.typname ~* '^([a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*|\\*/\\*)$'`

/** Casts between domains and json or text that are functions. */
export const representationsQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'source', pg_catalog.json_build_object('schema', sn.nspname, 'name', s.typname),
  'target', pg_catalog.json_build_object('schema', tn.nspname, 'name', t.typname),
  'function', pg_catalog.json_build_object('schema', fn.nspname, 'name', f.proname)
)), '[]')::text
from pg_catalog.pg_cast c
join pg_catalog.pg_type s on s.oid = c.castsource join pg_catalog.pg_namespace sn on sn.oid = s.typnamespace
join pg_catalog.pg_type t on t.oid = c.casttarget join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
join pg_catalog.pg_proc f on f.oid = c.castfunc join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
where c.castcontext = 'i' and c.castmethod = 'f'
  and (s.typtype = 'd' and t.oid in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype)
    or t.typtype = 'd' and s.oid in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype))`

export const surroundingsQuery = `
select pg_catalog.json_build_object(
  'timezones', (select pg_catalog.json_agg(name) from pg_catalog.pg_timezone_names),
  'hasPostGis', exists (select from pg_catalog.pg_proc where proname = 'st_asgeojson')
)::text`

/** Settings of roles that any of them may set for itself. */
export const roleSettingsQuery = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('role', r.rolname, 'settings', s.settings)), '[]')::text
from (
  select d.setrole, pg_catalog.array_agg(c.text order by d.setdatabase) as settings
    from pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) as c(text)
   where d.setrole <> 0 and (d.setdatabase = 0 or d.setdatabase = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
     and (pg_catalog.split_part(c.text, '=', 1) ~ '\\.' or exists (select from pg_catalog.pg_settings g where g.name = pg_catalog.split_part(c.text, '=', 1) and g.context = 'user'))
   group by d.setrole
) s join pg_catalog.pg_roles r on r.oid = s.setrole`
