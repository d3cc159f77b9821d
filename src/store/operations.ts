// Chains and their operations.

import type { BranchId, ChainId, EndpointId, OperationId, ProjectId } from '../model/ids.ts'
import type { Operation, OperationAction, OperationStatus } from '../model/operation.ts'
import type { Row, Sql, Store } from './database.ts'

export type ChainState = 'running' | 'undoing' | 'finished' | 'failed'

export type Chain = {
  id: ChainId
  projectId: ProjectId
  kind: string
  state: ChainState
  /** What the steps need and no other row holds. Never a secret. */
  input: Record<string, unknown>
}

const toChain = (row: Row): Chain => ({
  id: row['id'] as ChainId,
  projectId: row['project_id'] as ProjectId,
  kind: row['kind'] as string,
  state: row['state'] as ChainState,
  input: row['input'] as Record<string, unknown>,
})

const toOperation = (row: Row): Operation => ({
  id: row['id'] as OperationId,
  chainId: row['chain_id'] as ChainId,
  projectId: row['project_id'] as ProjectId,
  branchId: (row['branch_id'] as BranchId | null) ?? undefined,
  endpointId: (row['endpoint_id'] as EndpointId | null) ?? undefined,
  position: row['position'] as number,
  action: row['action'] as OperationAction,
  status: row['status'] as OperationStatus,
  error: (row['error'] as string | null) ?? undefined,
  failuresCount: row['failures_count'] as number,
  retryAt: (row['retry_at'] as Date | null) ?? undefined,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
  startedAt: (row['started_at'] as Date | null) ?? undefined,
  totalDurationMs: row['total_duration_ms'] as number,
})

export type NewOperation = {
  id: OperationId
  branchId: BranchId | undefined
  endpointId: EndpointId | undefined
  action: OperationAction
}

/** The first operation is `running` from the start, as clients see it at Neon. */
export async function insertChain(
  sql: Sql,
  cell: string,
  chain: {
    id: ChainId
    projectId: ProjectId
    kind: string
    input: Record<string, unknown>
    operations: readonly NewOperation[]
  },
): Promise<Operation[]> {
  const rows = await sql.query(
    `with chain as (
       insert into chains (id, project_id, cell, kind, state, input) values ($1, $2, $3, $4, 'running', $5)
     )
     insert into operations (id, chain_id, project_id, branch_id, endpoint_id, position, action, status, started_at)
     select o.id, $1, $2, o.branch_id, o.endpoint_id, o.position - 1, o.action,
            case when o.position = 1 then 'running' else 'scheduling' end, case when o.position = 1 then clock_timestamp() end
       from unnest($6::uuid[], $7::text[], $8::text[], $9::text[]) with ordinality as o (id, branch_id, endpoint_id, action, position)
     returning *`,
    [
      chain.id,
      chain.projectId,
      cell,
      chain.kind,
      JSON.stringify(chain.input),
      chain.operations.map((o) => o.id),
      chain.operations.map((o) => o.branchId ?? null),
      chain.operations.map((o) => o.endpointId ?? null),
      chain.operations.map((o) => o.action),
    ],
  )
  return rows.map(toOperation).toSorted((a, b) => a.position - b.position)
}

export async function nextChain(sql: Sql, cell: string, projectId: ProjectId): Promise<Chain | undefined> {
  const [row] = await sql.query(
    `select * from chains where cell = $1 and project_id = $2 and state in ('running', 'undoing') order by created_at limit 1`,
    [cell, projectId],
  )
  return row && toChain(row)
}

export async function hasUnfinishedChain(sql: Sql, projectId: string): Promise<boolean> {
  const rows = await sql.query(`select from chains where project_id = $1 and state in ('running', 'undoing') limit 1`, [
    projectId,
  ])
  return rows.length > 0
}

/** The first of these projects that has one. */
export async function findBusyProject(sql: Sql, projectIds: readonly ProjectId[]): Promise<ProjectId | undefined> {
  const [row] = await sql.query<{ project_id: ProjectId }>(
    `select project_id from chains where project_id = any($1) and state in ('running', 'undoing') order by project_id limit 1`,
    [projectIds],
  )
  return row?.project_id
}

/** Of the chains that calls scheduled; what nobody asked for changes no rows but its own. */
export async function newestChain(sql: Sql, projectId: string): Promise<ChainId | undefined> {
  const [row] = await sql.query<{ id: ChainId }>(
    `select id from chains where project_id = $1 and kind <> 'background' order by created_at desc limit 1`,
    [projectId],
  )
  return row?.id
}

export async function projectsWithUnfinishedChains(sql: Sql, cell: string): Promise<ProjectId[]> {
  const rows = await sql.query<{ project_id: ProjectId }>(
    `select distinct project_id from chains where cell = $1 and state in ('running', 'undoing')`,
    [cell],
  )
  return rows.map((row) => row.project_id)
}

export async function listChainOperations(sql: Sql, chainId: ChainId): Promise<Operation[]> {
  return (await sql.query('select * from operations where chain_id = $1 order by position', [chainId])).map(toOperation)
}

export async function setOperationRunning(sql: Sql, id: OperationId): Promise<void> {
  await sql.query(
    `update operations set status = 'running', retry_at = null, started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp() where id = $1`,
    [id],
  )
}

/** One operation is done and the next begins, in one statement: progress that the next run would make again. */
export async function passOn(store: Store, done: OperationId, next: OperationId): Promise<void> {
  await store.quick(
    `update operations set
       status = case when id = $1 then 'finished' else 'running' end,
       retry_at = null,
       started_at = coalesce(started_at, clock_timestamp()),
       updated_at = clock_timestamp(),
       total_duration_ms = case when id = $1 then coalesce((extract(epoch from clock_timestamp() - started_at) * 1000)::integer, 0) else 0 end
     where id in ($1, $2)`,
    [done, next],
  )
}

export async function setOperationEnded(
  sql: Sql,
  id: OperationId,
  status: OperationStatus,
  error?: string,
): Promise<void> {
  await sql.query(
    `update operations set status = $2, error = $3, retry_at = null, updated_at = clock_timestamp(),
            total_duration_ms = coalesce((extract(epoch from clock_timestamp() - started_at) * 1000)::integer, 0) where id = $1`,
    [id, status, error ?? null],
  )
}

/** Stays `running` for the outside: a client that saw `failed` would give up on something that goes on. */
export async function countOperationFailure(sql: Sql, id: OperationId, retryAt: Date): Promise<void> {
  await sql.query(
    'update operations set failures_count = failures_count + 1, retry_at = $2, updated_at = clock_timestamp() where id = $1',
    [id, retryAt],
  )
}

export async function setChainState(sql: Sql, id: ChainId, state: ChainState): Promise<void> {
  await sql.query(
    `update chains set state = $2, finished_at = case when $2 in ('finished', 'failed') then clock_timestamp() end where id = $1`,
    [id, state],
  )
}

export async function getOperation(sql: Sql, projectId: string, id: string): Promise<Operation | undefined> {
  const [row] = await sql.query('select * from operations where id = $1 and project_id = $2', [id, projectId])
  return row && toOperation(row)
}

/** Newest first; the cursor carries microseconds, which a Date would cut. */
export async function listOperations(
  sql: Sql,
  projectId: string,
  query: { limit: number; before: { createdAt: string; id: string } | undefined },
): Promise<{ operations: Operation[]; cursor: { createdAt: string; id: string } | undefined }> {
  const rows = await sql.query(
    `select *, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_text from operations
      where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
      order by created_at desc, id desc limit $4`,
    [projectId, query.before?.createdAt ?? null, query.before?.id ?? null, query.limit],
  )
  const last = rows.at(-1)
  return {
    operations: rows.map(toOperation),
    cursor: last && { createdAt: last['created_text'] as string, id: last['id'] as string },
  }
}

/** Starts and suspensions that were no API call's doing, written after the fact. Repeating an entry changes nothing. */
export async function insertBackgroundOperation(
  sql: Sql,
  cell: string,
  entry: {
    id: OperationId
    projectId: ProjectId
    branchId: BranchId
    endpointId: EndpointId
    action: OperationAction
    status: OperationStatus
    error: string | undefined
    startedAt: Date
    durationMs: number
  },
): Promise<void> {
  await sql.query(
    `with chain as (
       insert into chains (id, project_id, cell, kind, state, created_at, finished_at)
       select $1, p.id, $3, 'background', 'finished', $8::timestamptz, now() from projects p where p.id = $2 on conflict do nothing returning id
     )
     insert into operations (id, chain_id, project_id, branch_id, endpoint_id, position, action, status, error, created_at, updated_at, started_at, total_duration_ms)
     select $1, chain.id, $2, $4, $5, 0, $6, $7, $10, $8, $8::timestamptz + make_interval(secs => $9::float8 / 1000), $8, $9::integer from chain`,
    [
      entry.id,
      entry.projectId,
      cell,
      entry.branchId,
      entry.endpointId,
      entry.action,
      entry.status,
      entry.startedAt,
      entry.durationMs,
      entry.error ?? null,
    ],
  )
}
