// From rows to the desired compute. Pure, apart from asking who owns the files.

import type { ComputeSpec, Owner } from '../model/compute.ts'
import type { TimelineId } from '../model/ids.ts'
import type { EndpointTarget } from '../store/endpoints.ts'

type PreloadSettings = { use_defaults?: boolean; enabled_libraries?: string[] }

/** Project-wide libraries first, then the endpoint's own, each once. */
export function preloadLibrariesOf(
  projectSettings: Record<string, unknown>,
  endpointLibraries: readonly string[],
): string[] {
  const project = (projectSettings['preload_libraries'] as PreloadSettings | undefined)?.enabled_libraries ?? []
  return [...new Set([...project, ...endpointLibraries])]
}

export function isLogicalReplicationOn(projectSettings: Record<string, unknown>): boolean {
  return projectSettings['enable_logical_replication'] === true
}

export function toComputeSpec(
  target: EndpointTarget & { timelineId: TimelineId },
  ownerOf: (uidOffset: number) => Owner | undefined,
): ComputeSpec {
  return {
    timelineId: target.timelineId,
    pgMajor: target.pgMajor,
    minCu: target.minCu,
    pgSettings: target.pgSettings,
    preloadLibraries: preloadLibrariesOf(target.projectSettings, target.preloadLibraries),
    logicalReplication: isLogicalReplicationOn(target.projectSettings),
    owner: ownerOf(target.uidOffset),
    serviceKeyId: target.serviceKeyId,
  }
}
