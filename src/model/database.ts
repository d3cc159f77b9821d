import type { BranchId } from './ids.ts'

export type Database = {
  id: number
  branchId: BranchId
  name: string
  ownerName: string
  createdAt: Date
  updatedAt: Date
}

export function isReservedDatabaseName(name: string): boolean {
  return ['postgres', 'template0', 'template1'].includes(name)
}
