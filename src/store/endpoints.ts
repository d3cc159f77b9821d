import type { PgMajor } from '../model/compute.ts'
import type { Endpoint, EndpointType } from '../model/endpoint.ts'
import type { BranchId, EndpointId, OrganizationId, ProjectId, TimelineId } from '../model/ids.ts'
import type { ProjectSettings } from '../model/project.ts'
import { effectiveLimits, type LimitOverrides } from '../model/plan.ts'
import { standingsNow, type Quotas, type SizeStanding, type UsageStanding } from '../model/quota.ts'
import type { StartPlace } from '../model/start-place.ts'
import type { Row, Sql } from './database.ts'

const toEndpoint = (row: Row): Endpoint => ({
  id: row['id'] as EndpointId,
  projectId: row['project_id'] as ProjectId,
  branchId: row['branch_id'] as BranchId,
  name: (row['name'] as string | null) ?? undefined,
  regionId: row['region_id'] as string,
  type: row['type'] as EndpointType,
  autoscalingLimitMinCu: row['autoscaling_limit_min_cu'] as number,
  autoscalingLimitMaxCu: row['autoscaling_limit_max_cu'] as number,
  suspendTimeoutSeconds: row['suspend_timeout_seconds'] as number,
  pgSettings: row['pg_settings'] as Record<string, string>,
  preloadLibraries: row['preload_libraries'] as string[],
  disabled: row['disabled'] as boolean,
  lastActiveAt: (row['last_active_at'] as Date | null) ?? undefined,
  startedAt: (row['started_at'] as Date | null) ?? undefined,
  suspendedAt: (row['suspended_at'] as Date | null) ?? undefined,
  creationSource: row['creation_source'] as string,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
  deletedAt: (row['deleted_at'] as Date | null) ?? undefined,
})

export type NewEndpoint = Omit<
  Endpoint,
  'createdAt' | 'updatedAt' | 'deletedAt' | 'lastActiveAt' | 'startedAt' | 'suspendedAt'
>

export async function insertEndpoint(sql: Sql, endpoint: NewEndpoint): Promise<Endpoint> {
  const [row] = await sql.query(
    `insert into endpoints (id, project_id, branch_id, name, type, autoscaling_limit_min_cu, autoscaling_limit_max_cu, suspend_timeout_seconds,
                            pg_settings, preload_libraries, disabled, creation_source, region_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning *`,
    [
      endpoint.id,
      endpoint.projectId,
      endpoint.branchId,
      endpoint.name ?? null,
      endpoint.type,
      endpoint.autoscalingLimitMinCu,
      endpoint.autoscalingLimitMaxCu,
      endpoint.suspendTimeoutSeconds,
      JSON.stringify(endpoint.pgSettings),
      JSON.stringify(endpoint.preloadLibraries),
      endpoint.disabled,
      endpoint.creationSource,
      endpoint.regionId,
    ],
  )
  return toEndpoint(row ?? {})
}

/** Live endpoints of live branches only. */
export async function getEndpoint(sql: Sql, projectId: string, id: string): Promise<Endpoint | undefined> {
  const [row] = await sql.query(
    `select e.* from endpoints e join branches b on b.id = e.branch_id
      where e.id = $1 and e.project_id = $2 and e.deleted_at is null and b.deleted_at is null`,
    [id, projectId],
  )
  return row && toEndpoint(row)
}

export async function listEndpoints(sql: Sql, projectId: string): Promise<Endpoint[]> {
  const rows = await sql.query(
    `select e.* from endpoints e join branches b on b.id = e.branch_id
      where e.project_id = $1 and e.deleted_at is null and b.deleted_at is null order by e.created_at, e.id`,
    [projectId],
  )
  return rows.map(toEndpoint)
}

export async function listEndpointsEvenDeleted(sql: Sql, projectId: string): Promise<Endpoint[]> {
  return (await sql.query('select * from endpoints where project_id = $1', [projectId])).map(toEndpoint)
}

export async function listBranchEndpoints(sql: Sql, branchId: string): Promise<Endpoint[]> {
  const rows = await sql.query(
    'select * from endpoints where branch_id = $1 and deleted_at is null order by created_at, id',
    [branchId],
  )
  return rows.map(toEndpoint)
}

/** Of those that there are: live ones of live branches and projects. */
export async function projectsOfEndpoints(sql: Sql, ids: readonly string[]): Promise<Map<string, ProjectId>> {
  if (ids.length === 0) return new Map()
  const rows = await sql.query<{ id: string; project_id: ProjectId }>(
    `select e.id, e.project_id from endpoints e join branches b on b.id = e.branch_id join projects p on p.id = e.project_id
      where e.id = any($1) and e.deleted_at is null and b.deleted_at is null and p.deleted_at is null`,
    [ids],
  )
  return new Map(rows.map((row) => [row.id, row.project_id]))
}

export async function updateEndpoint(
  sql: Sql,
  endpoint: Pick<
    Endpoint,
    | 'id'
    | 'branchId'
    | 'name'
    | 'autoscalingLimitMinCu'
    | 'autoscalingLimitMaxCu'
    | 'suspendTimeoutSeconds'
    | 'pgSettings'
    | 'preloadLibraries'
    | 'disabled'
  >,
): Promise<Endpoint> {
  const [row] = await sql.query(
    `update endpoints set branch_id = $2, name = $3, autoscaling_limit_min_cu = $4, autoscaling_limit_max_cu = $5, suspend_timeout_seconds = $6,
            pg_settings = $7, preload_libraries = $8, disabled = $9, updated_at = now() where id = $1 returning *`,
    [
      endpoint.id,
      endpoint.branchId,
      endpoint.name ?? null,
      endpoint.autoscalingLimitMinCu,
      endpoint.autoscalingLimitMaxCu,
      endpoint.suspendTimeoutSeconds,
      JSON.stringify(endpoint.pgSettings),
      JSON.stringify(endpoint.preloadLibraries),
      endpoint.disabled,
    ],
  )
  return toEndpoint(row ?? {})
}

export async function setEndpointDeleted(sql: Sql, id: EndpointId, deleted: boolean): Promise<Endpoint> {
  const [row] = await sql.query(
    'update endpoints set deleted_at = case when $2 then coalesce(deleted_at, now()) end, updated_at = now() where id = $1 returning *',
    [id, deleted],
  )
  return toEndpoint(row ?? {})
}

/** Deleted ones stay with what they were of. */
export async function moveEndpoints(sql: Sql, from: BranchId, to: BranchId): Promise<void> {
  await sql.query(
    'update endpoints set branch_id = $2, updated_at = now() where branch_id = $1 and deleted_at is null',
    [from, to],
  )
}

export async function recordEndpointStarted(sql: Sql, id: EndpointId, at: Date): Promise<void> {
  await sql.query('update endpoints set started_at = $2, last_active_at = greatest(last_active_at, $2) where id = $1', [
    id,
    at,
  ])
}

export async function recordEndpointSuspended(
  sql: Sql,
  id: EndpointId,
  at: Date,
  lastActiveAt: Date | undefined,
): Promise<void> {
  await sql.query(
    'update endpoints set suspended_at = $2, last_active_at = greatest(last_active_at, $3) where id = $1',
    [id, at, lastActiveAt ?? null],
  )
}

/** Whose they are now, and whether they serve a default branch. */
export async function listEndpointOwners(
  sql: Sql,
  ids: readonly EndpointId[],
): Promise<Map<EndpointId, { orgId: OrganizationId; isDefault: boolean }>> {
  const rows = await sql.query<{ id: EndpointId; org_id: OrganizationId; is_default: boolean }>(
    `select e.id, p.org_id, b.is_default from endpoints e join branches b on b.id = e.branch_id join projects p on p.id = e.project_id
      where e.id = any($1)`,
    [ids],
  )
  return new Map(rows.map((row) => [row.id, { orgId: row.org_id, isDefault: row.is_default }]))
}

/** Everything that decides what an endpoint's compute is. */
export type EndpointTarget = {
  endpointId: EndpointId
  projectId: ProjectId
  branchId: BranchId
  timelineId: TimelineId | undefined
  disabled: boolean
  branchReady: boolean
  /** A chain at work touches its branch: a wake has to wait for it. */
  busy: boolean
  suspendTimeoutSeconds: number
  projectSettings: ProjectSettings
  pgMajor: PgMajor
  minCu: number
  maxCu: number
  pgSettings: Record<string, string>
  preloadLibraries: string[]
  uidOffset: number
  serviceKeyId: string
  /** Whether the organization's computes may connect to the outside. */
  outbound: boolean
  /** Undefined: it counts nowhere. */
  place: StartPlace | undefined
  /** Of the project's quotas: those that are not fine. */
  usageStandings: readonly UsageStanding[] | undefined
  sizeStanding: SizeStanding | undefined
}

export async function getEndpointTarget(sql: Sql, id: string): Promise<EndpointTarget | undefined> {
  const [row] = await sql.query(
    `select e.id, e.project_id, e.branch_id, e.disabled, e.suspend_timeout_seconds, e.autoscaling_limit_min_cu, e.autoscaling_limit_max_cu,
            e.pg_settings, e.preload_libraries, b.timeline_id, b.state, b.size_standing, p.usage_standings, p.settings, p.pg_major, t.uid_offset, t.service_key_id,
            p.org_id, b.is_default, o.plan, o.limits,
            exists (select from chains c join operations o on o.chain_id = c.id
                     where c.project_id = e.project_id and c.state in ('running', 'undoing') and o.branch_id = e.branch_id) as busy
       from endpoints e
       join branches b on b.id = e.branch_id
       join projects p on p.id = e.project_id
       join organizations o on o.id = p.org_id
       left join timelines t on t.id = b.timeline_id
      where e.id = $1 and e.deleted_at is null and b.deleted_at is null and p.deleted_at is null`,
    [id],
  )
  if (!row) return undefined
  const limits = effectiveLimits(row['plan'] as string, row['limits'] as LimitOverrides)
  return {
    endpointId: row['id'] as EndpointId,
    projectId: row['project_id'] as ProjectId,
    branchId: row['branch_id'] as BranchId,
    timelineId: (row['timeline_id'] as TimelineId | null) ?? undefined,
    disabled: row['disabled'] as boolean,
    branchReady: row['state'] === 'ready',
    busy: row['busy'] as boolean,
    suspendTimeoutSeconds: row['suspend_timeout_seconds'] as number,
    projectSettings: row['settings'] as ProjectSettings,
    pgMajor: row['pg_major'] as PgMajor,
    minCu: row['autoscaling_limit_min_cu'] as number,
    maxCu: row['autoscaling_limit_max_cu'] as number,
    pgSettings: row['pg_settings'] as Record<string, string>,
    preloadLibraries: row['preload_libraries'] as string[],
    uidOffset: (row['uid_offset'] as number | null) ?? 0,
    serviceKeyId: (row['service_key_id'] as string | null) ?? '',
    outbound: limits.outbound,
    place: { orgId: row['org_id'] as OrganizationId, isDefault: row['is_default'] as boolean, limits },
    ...standingsOf(row),
  }
}

/** Of a row with `settings`, `usage_standings` and `size_standing`. */
export function standingsOf(row: Row): Pick<EndpointTarget, 'usageStandings' | 'sizeStanding'> {
  const usage = (row['usage_standings'] as UsageStanding[] | null) ?? undefined
  const size = (row['size_standing'] as SizeStanding | null) ?? undefined
  if (!usage && !size) return { usageStandings: undefined, sizeStanding: undefined }
  return standingsNow({ usage, size }, (row['settings'] as { quota?: Quotas }).quota)
}
