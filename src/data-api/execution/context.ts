// Who a request is for its transaction, and what the database may know of it: settings that hold until the transaction ends, whatever it does.

import type { DataApiConfig } from '../config.ts'
import type { ActionPlan } from '../plan/plan.ts'
import type { ApiRequest } from '../request/request.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import { ident, join, param, sql, toStatement, type Statement } from '../sql/snippet.ts'

export type Identity = {
  role: string
  /** As JSON, with the role in it. */
  claims: string
}

type Config = Pick<DataApiConfig, 'dbExtraSearchPath' | 'appSettings'>

/** One statement; every name and value is a parameter. The function is named in full: whose path it is asked on is not known yet. */
export function settingsStatement(
  request: ApiRequest,
  identity: Identity,
  plan: ActionPlan,
  cache: SchemaCache,
  config: Config,
): Statement {
  const { timezone } = request.preferences
  const path = [...new Set([request.schema, ...config.dbExtraSearchPath])]
  const settings: (readonly [string, string])[] = [
    // While it is still the login's to set them.
    ...(cache.roleSettings?.get(identity.role) ?? []).filter(([name]) => name !== isolationSetting),
    ['search_path', toStatement(join(path.map(ident), ', ')).text],
    ['role', identity.role],
    ['request.jwt.claims', identity.claims],
    ['request.method', request.method],
    ['request.path', request.path],
    ['request.headers', JSON.stringify(request.headers)],
    ['request.cookies', JSON.stringify(request.cookies)],
    ...(timezone !== undefined && cache.timezones.has(timezone) ? [['timezone', timezone] as [string, string]] : []),
    ...(plan.kind === 'call' ? plan.call.function.settings : []).map(([name, value]): [string, string] => [
      name,
      value,
    ]),
    ...Object.entries(config.appSettings),
  ]
  return toStatement(
    sql`SELECT ${join(
      settings.map(([name, value]) => sql`pg_catalog.set_config(${param(name)}, ${param(value)}, true)`),
      ', ',
    )}`,
  )
}

const isolationSetting = 'default_transaction_isolation'

const isolations = new Set(['serializable', 'repeatable read', 'read committed', 'read uncommitted'])

/**
 * What begins a transaction. Its kind is said in it: a BEGIN that is refused for its kind (on a standby, say) would leave what follows outside of
 * any, as whoever logged in; one that has begun fails until it is ended.
 */
export function beginStatement(plan: ActionPlan, identity: Identity, cache: SchemaCache, method: string): string {
  const ofFunction = plan.kind === 'call' ? plan.call.function.isolation : undefined
  const ofRole = cache.roleSettings?.get(identity.role)?.find(([name]) => name === isolationSetting)?.[1]
  const asked = (ofFunction ?? ofRole)?.toLowerCase()
  const level = asked !== undefined && isolations.has(asked) ? asked.toUpperCase() : 'READ COMMITTED'
  const mode = isReadOnly(plan, method) ? 'READ ONLY' : 'READ WRITE'
  return `BEGIN; SET TRANSACTION ISOLATION LEVEL ${level} ${mode}`
}

function isReadOnly(plan: ActionPlan, method: string): boolean {
  switch (plan.kind) {
    case 'read':
    case 'describe':
      return true
    case 'mutate':
      return false
    case 'call':
      return method !== 'POST' || !plan.isWrite
  }
}
