// A write, as the source of what is answered: rows as they are afterwards, with the columns that are needed of them.

import type { MutatePlan } from '../plan/plan.ts'
import { conditionSql } from './conditions.ts'
import { empty, ident, join, param, qualified, raw, sql, type Snippet } from './snippet.ts'

const body = 'pgrst_body'

/** Rows that were inserted, less those that were there: of an upsert. */
export const insertedSetting = 'pgrst.inserted'

export function mutateQuery(plan: MutatePlan): Snippet {
  switch (plan.mutation) {
    case 'insert':
    case 'upsert-one':
      return insert(plan)
    case 'update':
      return update(plan)
    case 'delete':
      return sql`DELETE FROM ${qualified(plan.into)} AS ${ident(plan.into.name)}${whereSql(plan.into.name, plan)}${returning(plan)}`
  }
}

function insert(plan: MutatePlan): Snippet {
  const { into, columns } = plan
  const counts = plan.onConflict?.resolution === 'merge-duplicates'
  // PUT writes the row that its URL names, or none.
  const conditions = [
    ...(plan.mutation === 'upsert-one' ? plan.where.map((condition) => conditionSql(body, condition)) : []),
    ...(counts ? [counting('+ 1', '0')] : []),
  ]
  const where = conditions.length === 0 ? empty : sql` WHERE ${join(conditions, ' AND ')}`
  const names = columns.map(({ name }) => ident(name))
  const list = names.length === 0 ? empty : sql`(${join(names, ', ')})`
  const values = columns.map(({ name }) => sql`${ident(body)}.${ident(name)}`)
  const rows = sql`SELECT ${join(values, ', ')} FROM ${bodySql(plan)}${where}`
  return sql`INSERT INTO ${qualified(into)} AS ${ident(plan.into.name)}${list} ${rows}${conflict(plan)}${returning(plan)}`
}

const counting = (change: '+ 1' | '- 1', never: string): Snippet =>
  sql`set_config(${param(insertedSetting)}, (coalesce(nullif(current_setting(${param(insertedSetting)}, true), '')::integer, 0) ${raw(change)})::text, true) <> ${param(`${never}x`)}`

function conflict({ onConflict, columns }: MutatePlan): Snippet {
  if (!onConflict) return empty
  const keys = sql`(${join(onConflict.columns.map(ident), ', ')})`
  if (onConflict.resolution === 'ignore-duplicates' || columns.length === 0) return sql` ON CONFLICT ${keys} DO NOTHING`
  const sets = columns.map(({ name }) => sql`${ident(name)} = EXCLUDED.${ident(name)}`)
  return sql` ON CONFLICT ${keys} DO UPDATE SET ${join(sets, ', ')} WHERE ${counting('- 1', '-1')}`
}

function update(plan: MutatePlan): Snippet {
  const { into, columns } = plan
  // Nothing is said, so nothing is changed, and no row is touched.
  if (columns.length === 0)
    return sql`SELECT ${join(returnedColumns(plan), ', ')} FROM ${qualified(into)} AS ${ident(plan.into.name)} WHERE false`
  const sets = columns.map(({ name }) => sql`${ident(name)} = ${ident(body)}.${ident(name)}`)
  return sql`UPDATE ${qualified(into)} AS ${ident(plan.into.name)} SET ${join(sets, ', ')} FROM ${bodySql(plan)}${whereSql(plan.into.name, plan)}${returning(plan)}`
}

function whereSql(alias: string, { where }: MutatePlan): Snippet {
  return where.length === 0
    ? empty
    : sql` WHERE ${join(
        where.map((condition) => conditionSql(alias, condition)),
        ' AND ',
      )}`
}

function returnedColumns({ returning: names, into }: MutatePlan): Snippet[] {
  return names.length === 0 ? [raw('1 AS pgrst_row')] : names.map((name) => sql`${ident(into.name)}.${ident(name)}`)
}

const returning = (plan: MutatePlan): Snippet => sql` RETURNING ${join(returnedColumns(plan), ', ')}`

/** The payload as rows with the columns' types, named `pgrst_body`. */
function bodySql({ columns, payload = '[]', appliesDefaults }: MutatePlan): Snippet {
  const defaults = appliesDefaults ? columns.filter((column) => column.default !== undefined) : []
  const json = raw(defaults.length > 0 ? 'jsonb' : 'json')
  const given = sql`(SELECT ${param(payload)}::${json} AS data) AS pgrst_payload`
  const elements = sql`LATERAL ${json}_array_elements(CASE ${json}_typeof(pgrst_payload.data) WHEN 'array' THEN pgrst_payload.data ELSE ${json}_build_array(pgrst_payload.data) END) AS pgrst_element(data)`
  if (columns.length === 0) return sql`${given}, ${elements}`
  const types = columns.map(({ name, type, fromJson }) => sql`${ident(name)} ${raw(fromJson ? 'json' : type)}`)
  const names = columns.map(({ name, fromJson }) =>
    fromJson
      ? sql`${qualified(fromJson)}(pgrst_columns.${ident(name)}) AS ${ident(name)}`
      : sql`pgrst_columns.${ident(name)}`,
  )
  const pairs = defaults.flatMap((column) => [sql`${param(column.name)}::text`, raw(column.default ?? 'NULL')])
  const data =
    defaults.length > 0 ? sql`jsonb_build_object(${join(pairs, ', ')}) || pgrst_element.data` : sql`pgrst_element.data`
  const record = sql`LATERAL (SELECT ${join(names, ', ')} FROM ${json}_to_record(${data}) AS pgrst_columns(${join(types, ', ')})) AS ${ident(body)}`
  return sql`${given}, ${elements}, ${record}`
}
