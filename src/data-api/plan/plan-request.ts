// Decides what will be done for a request, with the schema cache and nothing else.

import type { DataApiConfig } from '../config.ts'
import { invalidPreferences } from '../request/preferences.ts'
import type { Action, ApiRequest } from '../request/request.ts'
import { findRelation } from '../schema-cache/lookup.ts'
import { keyOf, type SchemaCache } from '../schema-cache/schema-cache.ts'
import { planCall } from './call.ts'
import { asDescription, planDescribe, rootCall } from './describe.ts'
import { planMutate } from './mutate.ts'
import { negotiate } from './negotiate.ts'
import type { ActionPlan } from './plan.ts'
import { planRead } from './read.ts'

type Config = Pick<DataApiConfig, 'dbAggregatesEnabled' | 'dbMaxRows' | 'dbPlanEnabled' | 'dbRootSpec' | 'openapiMode'>

/** Throws PGRST1xx, PGRST2xx. */
export function planRequest(
  request: ApiRequest,
  action: Exclude<Action, { kind: 'inspect' }>,
  cache: SchemaCache,
  config: Config,
): ActionPlan {
  const { schema, topRange: range, accept, preferences } = request
  assertTimezone(request, cache)
  const isDefaultSelect = request.query.select.length === 1 && isStar(request)
  switch (action.kind) {
    case 'read': {
      const relation = findRelation(cache, { schema, name: action.relation })
      const options = { range, hasRootConditions: true, isBounded: true }
      const read = planRead(request, { from: relation, relation }, options, cache, config)
      const negotiated = negotiate(accept, { relation, function: undefined, isDefaultSelect }, cache, config)
      return { kind: 'read', read, negotiated, count: preferences.count, isHead: action.isHead }
    }
    case 'mutate': {
      const relation = findRelation(cache, { schema, name: action.relation })
      const options = { range: { offset: 0, limit: undefined }, hasRootConditions: false, isBounded: false }
      const read = planRead(request, { from: relation, relation }, options, cache, config)
      const negotiated = negotiate(accept, { relation, function: undefined, isDefaultSelect }, cache, config)
      const mutate = planMutate(request, action.mutation, relation, read, cache)
      const isReturned = preferences.return === 'representation'
      return {
        kind: 'mutate',
        mutate,
        read,
        negotiated: isReturned ? negotiated : { ...negotiated, handler: { kind: 'none' } },
      }
    }
    case 'call': {
      const call = planCall(request, { schema, name: action.function }, cache)
      const { returns } = call.function
      const type = returns.kind === 'void' || returns.of.kind === 'scalar' ? undefined : returns.of.type
      const relation = type && cache.relations.get(keyOf(type))
      const from = relation ?? { schema: '', name: action.function }
      const options = { range, hasRootConditions: true, isBounded: returns.kind === 'set' }
      const read = planRead(request, { from, relation }, options, cache, config)
      const negotiated = negotiate(accept, { relation, function: call.function, isDefaultSelect }, cache, config)
      const isHead = action.method === 'HEAD'
      const isWrite = action.method === 'POST' && call.function.volatility === 'volatile'
      return { kind: 'call', call, read, negotiated, count: preferences.count, isHead, isWrite }
    }
    case 'describe': {
      if (config.dbRootSpec === undefined) return planDescribe(request, action.isHead, config)
      const { function: name, request: call } = rootCall(request, config.dbRootSpec)
      const method = action.isHead ? 'HEAD' : 'GET'
      return asDescription(planRequest(call, { kind: 'call', function: name, method }, cache, config), accept)
    }
  }
}

/** Throws PGRST122. */
function assertTimezone({ preferences: { handling, timezone } }: ApiRequest, cache: SchemaCache): void {
  if (handling !== 'strict' || timezone === undefined || cache.timezones.has(timezone)) return
  throw invalidPreferences([`timezone=${timezone}`])
}

function isStar({ query: { select } }: ApiRequest): boolean {
  const [item] = select
  return item?.kind === 'field' && item.field.name === '*' && !item.aggregate
}
