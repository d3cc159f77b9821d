import type { OrganizationId } from './ids.ts'

export type Organization = {
  id: OrganizationId
  name: string
  handle: string
  plan: string
  createdAt: Date
  updatedAt: Date
}
