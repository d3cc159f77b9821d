// From rows to the desired compute. Pure, apart from asking who owns the files.

import type { ComputeSpec } from '../model/compute.ts'
import type { TimelineId } from '../model/ids.ts'
import type { EndpointTarget } from '../store/endpoints.ts'
import type { ControlContext } from './context.ts'

type PreloadSettings = { use_defaults?: boolean; enabled_libraries?: string[] }

/** The defaults, unless the project does without them; its libraries, then the endpoint's own, each once. */
export function preloadLibrariesOf(
  projectSettings: Record<string, unknown>,
  endpointLibraries: readonly string[],
  defaults: readonly string[],
): string[] {
  const project = projectSettings['preload_libraries'] as PreloadSettings | undefined
  const wanted = project?.use_defaults === false ? [] : defaults
  return [...new Set([...wanted, ...(project?.enabled_libraries ?? []), ...endpointLibraries])]
}

export function isLogicalReplicationOn(projectSettings: Record<string, unknown>): boolean {
  return projectSettings['enable_logical_replication'] === true
}

export function toComputeSpec(
  target: EndpointTarget & { timelineId: TimelineId },
  { ownerOf, defaultLibraries }: Pick<ControlContext, 'ownerOf' | 'defaultLibraries'>,
): ComputeSpec {
  return {
    timelineId: target.timelineId,
    pgMajor: target.pgMajor,
    minCu: target.minCu,
    pgSettings: target.pgSettings,
    preloadLibraries: preloadLibrariesOf(
      target.projectSettings,
      target.preloadLibraries,
      defaultLibraries(target.pgMajor),
    ),
    logicalReplication: isLogicalReplicationOn(target.projectSettings),
    owner: ownerOf(target.uidOffset),
    serviceKeyId: target.serviceKeyId,
  }
}
