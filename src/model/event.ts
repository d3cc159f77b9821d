import type { BranchId, OrganizationId, ProjectId } from './ids.ts'

/** What has happened that a platform wants to hear of. */
export const eventKinds = [
  /** 80 % or 95 % of a quota. */
  'quota.warning',
  /** Computes are suspended; at a branch's size: new sessions are read-only. */
  'quota.exceeded',
  /** A branch is so far over its size that its compute is suspended. */
  'quota.blocked',
  'quota.lifted',
  'project.transferred',
  'spending.warning',
  'spending.exceeded',
] as const

export type EventKind = (typeof eventKinds)[number]

export type PlatformEvent = {
  id: number
  orgId: OrganizationId
  projectId: ProjectId | undefined
  branchId: BranchId | undefined
  kind: EventKind
  /** For people. */
  message: string
  /** For programs; flat, in the API's snake_case. */
  details: Readonly<Record<string, string | number | boolean>>
  createdAt: Date
}
