// A project's settings: kept as the API shapes them, merged field by field, checked where pgrove acts on them.

import { AppError } from '../model/errors.ts'
import type { OrganizationLimits } from '../model/plan.ts'
import type { ProjectSettings } from '../model/project.ts'
import { assertAllowedIps } from './address-rules.ts'
import { assertPreloadLibraries } from './endpoint-settings.ts'

/** What a project that never set anything reports, as Neon does; and the quota that its organization gives to new ones. */
export function initialProjectSettings(limits: OrganizationLimits): ProjectSettings {
  const quota = newProjectQuota(limits)
  return {
    ...(Object.keys(quota).length > 0 ? { quota } : {}),
    allowed_ips: { ips: [], protected_branches_only: false },
    enable_logical_replication: false,
    maintenance_window: { weekdays: [5], start_time: '07:00', end_time: '08:00' },
    block_public_connections: false,
    block_vpc_connections: false,
    hipaa: false,
  }
}

function newProjectQuota(limits: OrganizationLimits): Record<string, number> {
  const quota = {
    active_time_seconds: limits.newProjectActiveTimeSeconds,
    compute_time_seconds: limits.newProjectComputeTimeSeconds,
    written_data_bytes: limits.newProjectWrittenDataBytes,
    data_transfer_bytes: limits.newProjectDataTransferBytes,
    logical_size_bytes: limits.newProjectLogicalSizeBytes,
  }
  return Object.fromEntries(Object.entries(quota).filter(([, value]) => value > 0))
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A change names only what it changes: groups such as `quota` are merged field by field, lists replace lists. */
export function mergeProjectSettings(
  base: ProjectSettings,
  change: ProjectSettings,
  preloadable: readonly string[],
): ProjectSettings {
  const merged: ProjectSettings = { ...base }
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined || value === null) continue
    const before = merged[name]
    merged[name] = isObject(value) && isObject(before) ? { ...before, ...value } : value
  }
  if (base['enable_logical_replication'] === true && merged['enable_logical_replication'] !== true) {
    throw new AppError('unprocessable', 'logical replication cannot be turned off once it is on')
  }
  const allowed = merged['allowed_ips']
  if (change['allowed_ips'] !== undefined && isObject(allowed) && Array.isArray(allowed['ips']))
    assertAllowedIps(allowed['ips'])
  const preload = merged['preload_libraries']
  if (isObject(preload) && Array.isArray(preload['enabled_libraries'])) {
    assertPreloadLibraries(preload['enabled_libraries'] as string[], preloadable)
  }
  return merged
}
