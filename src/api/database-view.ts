import type { Database as DatabaseWire } from '@neondatabase/api-client'
import type { Database } from '../model/database.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

export function databaseView(database: Database): Wire<DatabaseWire> {
  return {
    id: database.id,
    branch_id: database.branchId,
    name: database.name,
    owner_name: database.ownerName,
    created_at: seconds(database.createdAt),
    updated_at: seconds(database.updatedAt),
  }
}
