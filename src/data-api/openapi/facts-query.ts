// Asks for the facts of a description, as one JSON text. Privileges are those of the role that the transaction has.

import { param, raw, sql, type Snippet } from '../sql/snippet.ts'

type Described = { schema: string; followsPrivileges: boolean }

/** To stand where an expression does. */
export function factsQuery({ schema, followsPrivileges }: Described): Snippet {
  return sql`(
with recursive asked as (
  select ${param(schema)}::text as schema, not ${param(String(followsPrivileges))}::boolean as is_all
), ${raw(types)}
select pg_catalog.json_build_object(
  'comment', pg_catalog.obj_description(n.oid, 'pg_namespace'),
  'relations', (${raw(relations)}),
  'functions', (${raw(functions)})
)::text
from asked join pg_catalog.pg_namespace n on n.nspname = asked.schema
)`
}

/** Every type with what it is made of: a domain may be one of a domain, and length and NOT NULL may be said by any of them. */
const types = `
layers as (
  select t.oid as root, t.oid, t.typnotnull as is_not_null, t.typtypmod as modifier from pg_catalog.pg_type t
  union all
  select l.root, b.oid, l.is_not_null or b.typnotnull, case when l.modifier <> -1 then l.modifier else b.typtypmod end
  from layers l
  join pg_catalog.pg_type d on d.oid = l.oid and d.typtype = 'd'
  join pg_catalog.pg_type b on b.oid = d.typbasetype
), types as (
  select l.root as oid, b.oid as base, l.is_not_null, l.modifier,
    case when n.nspname = 'pg_catalog' then pg_catalog.format_type(b.oid, null)
      else pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(coalesce(e.typname, b.typname)) || case when e.oid is null then '' else '[]' end
    end as name
  from layers l
  join pg_catalog.pg_type b on b.oid = l.oid and b.typtype <> 'd'
  join pg_catalog.pg_namespace n on n.oid = b.typnamespace
  left join pg_catalog.pg_type e on e.typarray = b.oid
)`

const isUsed = `(asked.is_all or pg_catalog.has_schema_privilege(n.oid, 'USAGE'))`

const relations = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', c.relname, 'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
  'mayRead', asked.is_all or pg_catalog.has_any_column_privilege(c.oid, 'SELECT'),
  'mayInsert', asked.is_all or pg_catalog.has_any_column_privilege(c.oid, 'INSERT'),
  'mayUpdate', asked.is_all or pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'),
  'mayDelete', asked.is_all or pg_catalog.has_table_privilege(c.oid, 'DELETE'),
  'columns', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'comment', pg_catalog.col_description(c.oid, a.attnum),
      'type', t.name, 'isNotNull', a.attnotnull or t.is_not_null,
      'maxLength', case
        when length.modifier = -1 then null
        when t.base in ('pg_catalog.varchar'::pg_catalog.regtype, 'pg_catalog.bpchar'::pg_catalog.regtype) then length.modifier - 4
        when t.base in ('pg_catalog.bit'::pg_catalog.regtype, 'pg_catalog.varbit'::pg_catalog.regtype) then length.modifier
      end,
      'enum', (select pg_catalog.json_agg(l.enumlabel order by l.enumsortorder) from pg_catalog.pg_enum l where l.enumtypid = t.base),
      'mayRead', asked.is_all or pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
    ) order by a.attnum), '[]')
    from pg_catalog.pg_attribute a
    join types t on t.oid = a.atttypid,
    lateral (select case when a.atttypmod <> -1 then a.atttypmod else t.modifier end as modifier) length
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and (asked.is_all or pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE'))
  )
) order by c.relname), '[]')
from pg_catalog.pg_class c
where c.relnamespace = n.oid and c.relkind in ('r', 'v', 'm', 'f', 'p') and not c.relispartition and ${isUsed}
  and (asked.is_all or pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') or pg_catalog.has_table_privilege(c.oid, 'DELETE'))`

const functions = `
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', p.proname, 'comment', pg_catalog.obj_description(p.oid, 'pg_proc'), 'isVolatile', p.provolatile = 'v',
  'names', p.proargnames, 'modes', p.proargmodes, 'defaults', p.pronargdefaults,
  'types', (
    select pg_catalog.json_agg(coalesce(t.name, pg_catalog.format_type(x.type, null)) order by x.at)
    from pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as x(type, at)
    left join types t on t.oid = x.type
  )
) order by p.proname, p.pronargs, p.oid), '[]')
from pg_catalog.pg_proc p
join pg_catalog.pg_type r on r.oid = p.prorettype
where p.pronamespace = n.oid and p.prokind = 'f' and ${isUsed}
  and r.typname not in ('trigger', 'event_trigger', 'internal', 'language_handler', 'index_am_handler')
  and (asked.is_all or pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))`
