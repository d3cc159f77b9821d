// From rows to the desired compute. Pure, apart from asking who owns the files.

import type { ComputeSpec } from '../model/compute.ts'
import type { Branch } from '../model/branch.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Project } from '../model/project.ts'
import type { Timeline } from '../model/timeline.ts'
import type { TimelineId } from '../model/ids.ts'
import type { OrganizationLimits } from '../model/plan.ts'
import { isReadOnly } from '../model/quota.ts'
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

/** The target that the rows of a new project amount to. */
export function newProjectTarget(
  rows: { project: Project; branch: Branch; endpoint: Endpoint },
  timeline: Timeline,
  limits: OrganizationLimits,
): EndpointTarget & { timelineId: TimelineId } {
  const { project, branch, endpoint } = rows
  return {
    endpointId: endpoint.id,
    projectId: project.id,
    branchId: branch.id,
    timelineId: timeline.id,
    disabled: endpoint.disabled,
    branchReady: false,
    busy: true,
    suspendTimeoutSeconds: endpoint.suspendTimeoutSeconds,
    projectSettings: project.settings,
    pgMajor: project.pgMajor,
    minCu: endpoint.autoscalingLimitMinCu,
    maxCu: endpoint.autoscalingLimitMaxCu,
    pgSettings: endpoint.pgSettings,
    preloadLibraries: endpoint.preloadLibraries,
    uidOffset: timeline.uidOffset,
    serviceKeyId: timeline.serviceKeyId,
    outbound: limits.outbound,
    place: { orgId: project.orgId, isDefault: branch.isDefault, limits },
    usageStandings: undefined,
    sizeStanding: undefined,
  }
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
    outbound: target.outbound,
    owner: ownerOf(target.uidOffset),
    serviceKeyId: target.serviceKeyId,
    ...(isReadOnly(target.sizeStanding) ? { readOnly: true } : {}),
  }
}
