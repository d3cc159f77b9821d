// Does what was planned, in one transaction on one connection: BEGIN, the settings, the main statement, and the end, sent without waiting where
// nothing has to be looked at in between.
//
// A connection is used again only when its transaction has certainly ended, and nothing of it is left (`session.ts`).

import { createHash } from 'node:crypto'
import type { DataApiConfig } from '../config.ts'
import type { ConnectionSource, DataApiConnection, QueryResult } from '../connections.ts'
import { DataApiError } from '../errors.ts'
import type { ActionPlan } from '../plan/plan.ts'
import type { ApiRequest } from '../request/request.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import { countPlanStatement, explainStatement, mainStatement } from '../sql/main-statement.ts'
import { qualified, toStatement, type Statement } from '../sql/snippet.ts'
import { beginStatement, settingsStatement, type Identity } from './context.ts'
import type { MainResult } from './result.ts'
import { Session } from './session.ts'

type Config = Pick<
  DataApiConfig,
  'dbExtraSearchPath' | 'appSettings' | 'dbPreRequest' | 'dbTxEnd' | 'dbPreparedStatements' | 'dbMaxRows'
>

/** A request, with all that was decided of it. */
export type Work = {
  request: ApiRequest
  plan: ActionPlan
  identity: Identity
  cache: SchemaCache
  config: Config
}

export async function execute(connections: ConnectionSource, work: Work): Promise<MainResult> {
  const statements = statementsOf(work)
  const [, settings] = statements
  const connection = await connections.connect()
  const session = new Session(connection, work.plan, settings?.name)
  try {
    return await transaction(connection, session, work, statements)
  } catch (error) {
    session.failed(error)
    throw error
  } finally {
    session.release()
  }
}

type Sent = Parameters<DataApiConnection['query']>[0]

/** All that begins it and does it; the main statement is the last one. */
function statementsOf({ request, plan, identity, cache, config }: Work): Sent[] {
  const explain = plan.negotiated.plan
  const main = explain ? explainStatement(plan, explain.options, explain.format) : mainStatement(plan)
  const isPrepared = config.dbPreparedStatements && !explain
  const prepared = (statement: Statement): Sent => ({
    ...statement,
    name: isPrepared ? nameOf(statement.text, cache.loadedAt) : undefined,
  })
  return [
    { text: beginStatement(plan, identity, cache, request.method) },
    prepared(settingsStatement(request, identity, plan, cache, config)),
    ...(config.dbPreRequest === undefined ? [] : [{ text: preRequest(config.dbPreRequest) }]),
    prepared(main),
  ]
}

async function transaction(
  connection: DataApiConnection,
  session: Session,
  { request, plan, config }: Work,
  statements: readonly Sent[],
): Promise<MainResult> {
  const endsAtOnce = !needsALook(request, plan) && !rollsBack(request.preferences.tx, config.dbTxEnd)
  // After a failure a COMMIT is a ROLLBACK.
  const all = endsAtOnce ? [...statements, { text: 'COMMIT' }] : statements
  const results = await drained(
    connection.together(() => {
      const sent = all.map((statement) => connection.query(statement))
      if (endsAtOnce) session.ended()
      return sent
    }),
  )
  const answer = results[statements.length - 1]
  if (plan.negotiated.plan) {
    if (!endsAtOnce) await end(connection, request, config)
    return explained(answer)
  }
  const result = toResult(answer)
  assertAllowed(request, plan, result)
  const counted = await withPlannedCount(connection, plan, result, config)
  if (!endsAtOnce) await end(connection, request, config)
  return counted
}

/** Whether the result decides if it may stand, or something else is asked after it. */
function needsALook({ preferences }: ApiRequest, plan: ActionPlan): boolean {
  const isOne = plan.negotiated.mediaType.kind === 'object'
  const isPut = plan.kind === 'mutate' && plan.mutate.mutation === 'upsert-one'
  const isEstimated = plan.kind === 'read' && (plan.count === 'planned' || plan.count === 'estimated')
  return isOne || isPut || isEstimated || (preferences.handling === 'strict' && preferences.maxAffected !== undefined)
}

/** All of them, whatever happens: nothing of this request is on its way any more. The first failure is the cause of the others. */
async function drained(sent: readonly Promise<QueryResult>[]): Promise<QueryResult[]> {
  const settled = await Promise.allSettled(sent)
  return settled.map((each) => {
    if (each.status === 'rejected') throw each.reason
    return each.value
  })
}

/**
 * Of the same text the same name, so that it is prepared once on each connection; until the schema is another one, since parameters keep the
 * types that they had when it was prepared.
 */
const nameOf = (text: string, schemaLoadedAt: number): string =>
  createHash('sha256').update(`${schemaLoadedAt} ${text}`).digest('base64url').slice(0, 24)

function preRequest(name: string): string {
  const [schema, function_] = name.includes('.') ? name.split('.', 2) : ['', name]
  return `SELECT ${toStatement(qualified({ schema: schema ?? '', name: function_ ?? '' })).text}()`
}

const bodyPlace = 2
/** postgres: src/include/catalog/pg_type.dat */
const bytea = 17

function toResult(result: QueryResult | undefined): MainResult {
  const [total, page, body, headers, status, inserted, location] = result?.rows[0] ?? []
  return {
    total: total == null ? undefined : Number(total),
    pageTotal: Number(page ?? 0),
    body:
      result?.fields[bodyPlace]?.dataTypeID === bytea
        ? Buffer.from((body ?? '').slice('\\x'.length), 'hex')
        : (body ?? ''),
    location: location == null ? [] : (JSON.parse(location) as [string, string][]),
    responseHeaders: headers ?? undefined,
    responseStatus: status ?? undefined,
    inserted: inserted == null ? undefined : Number(inserted),
  }
}

function explained(result: QueryResult | undefined): MainResult {
  const body = (result?.rows ?? []).map(([line]) => line ?? '').join('\n')
  return {
    total: undefined,
    pageTotal: 0,
    body,
    location: [],
    responseHeaders: undefined,
    responseStatus: undefined,
    inserted: undefined,
  }
}

/** Whether it may stand. Throws PGRST115, PGRST116, PGRST124, PGRST128. */
function assertAllowed({ preferences }: ApiRequest, plan: ActionPlan, { pageTotal }: MainResult): void {
  const isOne = plan.negotiated.mediaType.kind === 'object'
  const isSingleCall = plan.kind === 'call' && plan.call.function.returns.kind !== 'set'
  if (isOne && !isSingleCall && pageTotal !== 1) {
    throw new DataApiError({
      code: 'PGRST116',
      message: 'Cannot coerce the result to a single JSON object',
      details: `The result contains ${pageTotal} rows`,
    })
  }
  if (plan.kind === 'mutate' && plan.mutate.mutation === 'upsert-one' && pageTotal !== 1) {
    throw new DataApiError({
      code: 'PGRST115',
      message: 'Payload values do not match URL in primary key column(s)',
    })
  }
  const most = preferences.handling === 'strict' ? preferences.maxAffected : undefined
  if (most === undefined || plan.kind === 'read' || plan.kind === 'describe') return
  if (plan.kind === 'call' && isSingleCall) {
    throw new DataApiError({
      code: 'PGRST128',
      message: 'Function must return SETOF or TABLE when max-affected preference is used with handling=strict',
    })
  }
  const isCounted = plan.kind === 'call' || plan.mutate.mutation === 'update' || plan.mutate.mutation === 'delete'
  if (isCounted && pageTotal > most) {
    throw new DataApiError({
      code: 'PGRST124',
      message: `Query result exceeds max-affected preference constraint`,
      details: `The query affects ${pageTotal} rows`,
    })
  }
}

async function withPlannedCount(
  connection: DataApiConnection,
  plan: ActionPlan,
  result: MainResult,
  { dbMaxRows }: Config,
): Promise<MainResult> {
  if (plan.kind !== 'read' || (plan.count !== 'planned' && plan.count !== 'estimated')) return result
  const isExact = plan.count === 'estimated' && (dbMaxRows === undefined || (result.total ?? 0) <= dbMaxRows)
  if (isExact) return result
  const { rows } = await connection.query(countPlanStatement(plan.read))
  const [explained] = JSON.parse(rows[0]?.[0] ?? '[]') as { Plan?: { 'Plan Rows'?: number } }[]
  const planned = explained?.Plan?.['Plan Rows'] ?? 0
  return { ...result, total: plan.count === 'planned' ? planned : Math.max(result.total ?? 0, planned) }
}

async function end(connection: DataApiConnection, { preferences }: ApiRequest, { dbTxEnd }: Config): Promise<void> {
  if (!rollsBack(preferences.tx, dbTxEnd)) {
    await connection.query({ text: 'COMMIT' })
    return
  }
  // What is checked at the end is checked all the same.
  await drained([connection.query({ text: 'SET CONSTRAINTS ALL IMMEDIATE' }), connection.query({ text: 'ROLLBACK' })])
}

export function rollsBack(asked: 'commit' | 'rollback' | undefined, setting: Config['dbTxEnd']): boolean {
  switch (setting) {
    case 'commit':
      return false
    case 'rollback':
      return true
    case 'commit-allow-override':
      return asked === 'rollback'
    case 'rollback-allow-override':
      return asked !== 'commit'
  }
}
