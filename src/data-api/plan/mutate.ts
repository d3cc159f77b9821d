// The plan of a write.

import { DataApiError } from '../errors.ts'
import type { ApiRequest, MutationKind, Payload } from '../request/request.ts'
import type { Relation, SchemaCache } from '../schema-cache/schema-cache.ts'
import { representation } from './fields.ts'
import type { MutatePlan, ReadPlan } from './plan.ts'
import { planCondition } from './read.ts'

/** Throws PGRST105, PGRST114, PGRST204. */
export function planMutate(
  request: ApiRequest,
  mutation: MutationKind,
  into: Relation,
  read: ReadPlan,
  cache: SchemaCache,
): MutatePlan {
  const { query, preferences } = request
  if (mutation === 'upsert-one') assertNamesOne(request, into)
  const conditions = [...query.filters, ...query.logic].filter(({ at }) => at.length === 0)
  const takesBody = mutation !== 'delete'
  const columns = takesBody ? request.columns : []
  return {
    mutation,
    into,
    columns: columns.map((name) => {
      const column = into.columns.get(name)
      if (!column) {
        throw new DataApiError({
          code: 'PGRST204',
          message: `Could not find the '${name}' column of '${into.name}' in the schema cache`,
        })
      }
      return {
        name,
        type: column.type,
        fromJson: representation(cache, into, name, 'from json'),
        default: column.default,
      }
    }),
    payload: takesBody ? payloadText(request.payload) : undefined,
    where: mutation === 'insert' ? [] : conditions.map(({ value }) => planCondition(cache, into, value, new Map())),
    returning: returningOf(request, mutation, into, read),
    onConflict: conflictOf(mutation, into, request),
    appliesDefaults: preferences.missing === 'default' && takesBody,
  }
}

function payloadText(payload: Payload | undefined): string {
  switch (payload?.kind) {
    case 'json':
    case 'raw-json':
      return payload.text
    case 'urlencoded':
      return JSON.stringify(Object.fromEntries(payload.pairs))
    case 'raw':
      return payload.bytes.toString('utf8')
    case undefined:
      return '[]'
  }
}

/** PUT is of the one row that its URL names by its whole key. */
function assertNamesOne({ query, topRange }: ApiRequest, { primaryKey }: Relation): void {
  if (topRange.limit !== undefined || topRange.offset !== 0) {
    throw new DataApiError({
      code: 'PGRST114',
      message: 'limit/offset querystring parameters are not allowed for PUT',
    })
  }
  const isEq = query.filters.every(
    ({ value: { isNegated, operation, field } }) =>
      !isNegated &&
      operation.kind === 'quantified' &&
      operation.operator === 'eq' &&
      !operation.quantifier &&
      field.path.length === 0,
  )
  const names = new Set(query.filterNames)
  const isKey = primaryKey.length > 0 && names.size === primaryKey.length && primaryKey.every((name) => names.has(name))
  if (isEq && isKey && query.filters.length === names.size && query.logic.length === 0) return
  throw new DataApiError({
    code: 'PGRST105',
    message: "Filters must include all and only primary key columns with 'eq' operators",
  })
}

function conflictOf(
  mutation: MutationKind,
  into: Relation,
  { query, preferences }: ApiRequest,
): MutatePlan['onConflict'] {
  if (mutation === 'upsert-one') return { resolution: 'merge-duplicates', columns: into.primaryKey }
  if (mutation !== 'insert' || preferences.resolution === undefined) return undefined
  const columns = query.onConflict ?? into.primaryKey
  return columns.length === 0 ? undefined : { resolution: preferences.resolution, columns }
}

/** Only what is needed: whoever writes may not be allowed to read all. */
function returningOf({ preferences }: ApiRequest, mutation: MutationKind, into: Relation, read: ReadPlan): string[] {
  if (preferences.return === 'headers-only' && mutation === 'insert') return [...into.primaryKey]
  if (preferences.return !== 'representation') return []
  const names = new Set<string>()
  for (const item of read.select) {
    if (item.kind === 'all' || item.field.name === '*') for (const name of into.columns.keys()) names.add(name)
    else names.add(item.field.name)
  }
  for (const { field, relation } of read.order) if (relation === undefined) names.add(field.name)
  for (const { relationship } of read.embeds) {
    if (relationship.kind === 'computed') for (const name of into.columns.keys()) names.add(name)
    else {
      const { cardinality } = relationship
      const pairs = cardinality.kind === 'm2m' ? cardinality.junction.columns1 : cardinality.columns
      for (const [own] of pairs) names.add(own)
    }
  }
  return [...names]
}
