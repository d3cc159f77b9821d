import type { BranchId, EndpointId, ProjectId } from './ids.ts'

export type EndpointType = 'read_write' | 'read_only'

export type Endpoint = {
  id: EndpointId
  projectId: ProjectId
  branchId: BranchId
  /** Its project's, which never changes. */
  regionId: string
  name: string | undefined
  type: EndpointType
  autoscalingLimitMinCu: number
  autoscalingLimitMaxCu: number
  /** -1 never, 0 the default, otherwise seconds. Reported as it was set. */
  suspendTimeoutSeconds: number
  pgSettings: Record<string, string>
  preloadLibraries: string[]
  disabled: boolean
  /** As far as the rows know; what runs is asked of the supervisor. */
  lastActiveAt: Date | undefined
  startedAt: Date | undefined
  suspendedAt: Date | undefined
  creationSource: string
  createdAt: Date
  updatedAt: Date
  deletedAt: Date | undefined
}
