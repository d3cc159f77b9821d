// The one statement of a request: its source in a CTE, and from that one row with the body as text, the counts, and what the database has
// said of the answer (`execution/result.ts`).

import { factsQuery } from '../openapi/facts-query.ts'
import type { ActionPlan, CountPlan, Handler, ReadPlan } from '../plan/plan.ts'
import type { PlanOption } from '../request/media-type.ts'
import { callQuery, isScalar, scalarColumn } from './call.ts'
import { insertedSetting, mutateQuery } from './mutate.ts'
import { countQuery, readQuery } from './read.ts'
import { empty, ident, join, param, qualified, raw, sql, toStatement, type Snippet, type Statement } from './snippet.ts'

const source = raw('pgrst_source')
const rows = raw('_postgrest_t')
/** A whole row, whatever its columns are called. */
const row = raw('_postgrest_t.*')

export function mainStatement(plan: ActionPlan): Statement {
  return toStatement(mainQuery(plan))
}

/** EXPLAIN of it, as a client asks for. */
export function explainStatement(plan: ActionPlan, options: readonly PlanOption[], format: 'text' | 'json'): Statement {
  const list = [...options.map((option) => option.toUpperCase()), `FORMAT ${format.toUpperCase()}`].join(', ')
  return toStatement(sql`EXPLAIN (${raw(list)}) ${mainQuery(plan)}`)
}

/** EXPLAIN of how many rows there would be without a range. */
export function countPlanStatement(plan: ReadPlan): Statement {
  return toStatement(sql`EXPLAIN (FORMAT JSON) ${countQuery(plan)}`)
}

function mainQuery(plan: ActionPlan): Snippet {
  switch (plan.kind) {
    case 'read': {
      const counts = needsCount(plan.count, plan.read)
      const count = counts ? sql`, pgrst_count AS (${countQuery(plan.read)})` : empty
      const handler = plan.isHead ? ({ kind: 'none' } as const) : plan.negotiated.handler
      return sql`WITH pgrst_source AS (${readQuery(plan.read)})${count} SELECT ${columns({
        total: totalOf(plan.count, counts),
        body: bodyOf(handler),
      })} FROM (SELECT * FROM ${source}) AS ${rows}`
    }
    case 'mutate': {
      const { mutate, negotiated } = plan
      const isNothing = negotiated.handler.kind === 'none'
      const from = isNothing ? sql`SELECT * FROM ${source}` : readQuery(plan.read, source)
      const hasLocation = mutate.mutation === 'insert' && isNothing && mutate.returning.length > 0
      return sql`WITH pgrst_source AS (${mutateQuery(mutate)}) SELECT ${columns({
        total: raw('NULL::bigint'),
        body: bodyOf(negotiated.handler),
        inserted: mutate.onConflict ? sql`nullif(current_setting(${param(insertedSetting)}, true), '')` : undefined,
        location: hasLocation ? locationOf(mutate.returning) : undefined,
      })} FROM (${from}) AS ${rows}`
    }
    case 'call': {
      const { call, read, negotiated } = plan
      const handler = plan.isHead ? ({ kind: 'none' } as const) : negotiated.handler
      if (isScalar(call)) {
        const isSet = call.function.returns.kind === 'set'
        return sql`WITH pgrst_source AS (${callQuery(call)}) SELECT ${columns({
          total: plan.count === 'exact' ? raw(`pg_catalog.count(*)`) : raw('NULL::bigint'),
          body: scalarBody(handler, isSet),
        })} FROM (SELECT * FROM ${source}) AS ${rows}`
      }
      const counts = needsCount(plan.count, read)
      const count = counts ? sql`, pgrst_count AS (${countQuery(read, source)})` : empty
      const isOne = call.function.returns.kind === 'single' && handler.kind === 'json-array'
      return sql`WITH pgrst_source AS (${callQuery(call)})${count} SELECT ${columns({
        total: totalOf(plan.count, counts),
        body: isOne ? bodyOf({ kind: 'json-object', stripsNulls: handler.stripsNulls }) : bodyOf(handler),
      })} FROM (${readQuery(read, source)}) AS ${rows}`
    }
    case 'describe': {
      const body = plan.isHead ? bodyOf({ kind: 'none' }) : factsQuery(plan)
      return sql`SELECT ${columns({ total: raw('NULL::bigint'), body })} FROM (SELECT 1) AS ${rows}`
    }
  }
}

/** Where all rows come out, their number is that of the page. */
function needsCount(count: CountPlan, { range }: ReadPlan): boolean {
  return (count === 'exact' || count === 'estimated') && (range.limit !== undefined || range.offset !== 0)
}

function totalOf(count: CountPlan, counts: boolean): Snippet {
  if (count !== 'exact' && count !== 'estimated') return raw('NULL::bigint')
  return counts ? raw('(SELECT pg_catalog.count(*) FROM pgrst_count)') : sql`pg_catalog.count(${row})`
}

type Columns = { total: Snippet; body: Snippet; inserted?: Snippet | undefined; location?: Snippet | undefined }

function columns({ total, body, inserted, location }: Columns): Snippet {
  return join(
    [
      sql`${total} AS total_result_set`,
      sql`pg_catalog.count(${row}) AS page_total`,
      sql`${body} AS body`,
      raw(`nullif(current_setting('response.headers', true), '') AS response_headers`),
      raw(`nullif(current_setting('response.status', true), '') AS response_status`),
      sql`${inserted ?? raw('NULL')} AS response_inserted`,
      sql`${location ?? raw('NULL')} AS location`,
    ],
    ', ',
  )
}

function bodyOf(handler: Handler): Snippet {
  switch (handler.kind) {
    case 'json-array':
      return text(handler.stripsNulls, sql`coalesce(json_agg(${row}), '[]')`)
    case 'json-object':
      return text(handler.stripsNulls, sql`coalesce(json_agg(${row}) -> 0, 'null')`)
    case 'csv':
      return csv()
    case 'geojson':
      return sql`json_build_object('type', 'FeatureCollection', 'features', coalesce(json_agg(ST_AsGeoJSON(${row})::json), '[]'))::text`
    case 'custom':
      return sql`${qualified(handler.handler.function)}((${row})${handler.handler.relation ? sql`::${qualified(handler.handler.relation)}` : empty})`
    case 'function-result':
      return sql`(array_agg(${rows}.${ident(scalarColumn)}))[1]`
    case 'none':
      return raw(`''::text`)
  }
}

const text = (stripsNulls: boolean, json: Snippet): Snippet =>
  stripsNulls ? sql`json_strip_nulls(${json})::text` : sql`${json}::text`

function csv(): Snippet {
  const header = sql`(SELECT coalesce(string_agg(pgrst_key, ','), '') FROM (SELECT json_object_keys(row_to_json(pgrst_first)) AS pgrst_key FROM (SELECT * FROM ${source} LIMIT 1) AS pgrst_first) AS pgrst_keys)`
  return sql`${header} || E'\n' || coalesce(string_agg(substring((${row})::text, 2, length((${row})::text) - 2), E'\n'), '')`
}

function scalarBody(handler: Handler, isSet: boolean): Snippet {
  const value = sql`${rows}.${ident(scalarColumn)}`
  if (handler.kind === 'function-result' || handler.kind === 'none') return bodyOf(handler)
  if (handler.kind === 'json-array' || handler.kind === 'json-object') {
    return isSet && handler.kind === 'json-array'
      ? text(handler.stripsNulls, sql`coalesce(json_agg(${value}), '[]')`)
      : text(handler.stripsNulls, sql`coalesce(json_agg(${value}) -> 0, 'null')`)
  }
  return bodyOf(handler)
}

/** Of the row that was inserted, as filters that find it. */
function locationOf(names: readonly string[]): Snippet {
  const list = join(names.map(ident), ', ')
  return sql`(SELECT coalesce(json_agg(json_build_array(pgrst_pair.key, coalesce('eq.' || pgrst_pair.value, 'is.null'))), '[]')::text FROM (SELECT row_to_json(pgrst_keys) AS pgrst_row FROM (SELECT ${list} FROM ${source}) AS pgrst_keys LIMIT 1) AS pgrst_inserted, json_each_text(pgrst_inserted.pgrst_row) AS pgrst_pair)`
}
