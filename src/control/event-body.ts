// An event as receivers read it.

import type { PlatformEvent } from '../model/event.ts'

export type EventBody = {
  id: number
  type: string
  timestamp: string
  org_id: string
  project_id?: string
  branch_id?: string
  message: string
  data: PlatformEvent['details']
}

/** The same in an answer of the API and in what a webhook gets. Ids grow with time. */
export function eventBody(event: PlatformEvent): EventBody {
  return {
    id: event.id,
    type: event.kind,
    timestamp: event.createdAt.toISOString(),
    org_id: event.orgId,
    ...(event.projectId === undefined ? {} : { project_id: event.projectId }),
    ...(event.branchId === undefined ? {} : { branch_id: event.branchId }),
    message: event.message,
    data: event.details,
  }
}
