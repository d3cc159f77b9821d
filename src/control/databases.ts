import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import type { Database } from '../model/database.ts'
import type { Sql } from '../store/database.ts'
import { getDatabase, insertDatabase, listDatabases, markDatabaseDeleting, updateDatabase } from '../store/databases.ts'
import { getRole } from '../store/roles.ts'
import { liveBranch } from './access.ts'
import { databaseRenamed } from './auth/copies.ts'
import { syncedBranch } from './catalog.ts'
import { planChange } from './change-plan.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDatabasesLimit } from './limits.ts'
import { assertDatabaseName } from './names.ts'
import { schedule } from './operations/schedule.ts'

async function existingDatabase(sql: Sql, branch: Branch, name: string): Promise<Database> {
  const database = await getDatabase(sql, branch.id, name)
  if (!database) throw new AppError('not_found', 'database not found')
  return database
}

async function assertOwner(sql: Sql, branch: Branch, ownerName: string): Promise<void> {
  if (await getRole(sql, branch.id, ownerName)) return
  throw new AppError('not_found', `role ${JSON.stringify(ownerName)} not found; create it before making it an owner`)
}

const inputOf = ({ id, branchId, name, ownerName }: Database): Record<string, unknown> => ({
  id,
  branchId,
  name,
  ownerName,
})

export function databaseControl(control: ControlContext): Control['databases'] {
  return {
    async list(caller, projectId, branchId) {
      const branch = await syncedBranch(control, caller, projectId, branchId)
      return await listDatabases(control.store, branch.id)
    },
    async get(caller, projectId, branchId, name) {
      const branch = await syncedBranch(control, caller, projectId, branchId)
      return await existingDatabase(control.store, branch, name)
    },
    async create(caller, projectId, branchId, { name, ownerName }) {
      assertDatabaseName(name)
      await syncedBranch(control, caller, projectId, branchId)
      const { result, operations } = await schedule(control, caller, projectId, async (sql, project) => {
        const branch = await liveBranch(sql, projectId, branchId)
        await assertOwner(sql, branch, ownerName)
        const databases = await listDatabases(sql, branch.id)
        if (databases.some((database) => database.name === name)) {
          throw new AppError('already_exists', `database ${JSON.stringify(name)} already exists`)
        }
        await assertDatabasesLimit(sql, project.orgId, databases.length)
        const database = await insertDatabase(sql, { branchId: branch.id, name, ownerName })
        return { result: database, plan: await planChange(control, sql, branch, 'create_database', inputOf(database)) }
      })
      return { database: result, operations }
    },
    async update(caller, projectId, branchId, name, change) {
      if (change.name !== undefined) assertDatabaseName(change.name)
      await syncedBranch(control, caller, projectId, branchId)
      const { result, operations } = await schedule(control, caller, projectId, async (sql) => {
        const branch = await liveBranch(sql, projectId, branchId)
        const before = await existingDatabase(sql, branch, name)
        const wanted = { name: change.name ?? before.name, ownerName: change.ownerName ?? before.ownerName }
        if (wanted.ownerName !== before.ownerName) await assertOwner(sql, branch, wanted.ownerName)
        if (wanted.name !== before.name && (await getDatabase(sql, branch.id, wanted.name))) {
          throw new AppError('already_exists', `database ${JSON.stringify(wanted.name)} already exists`)
        }
        if (wanted.name === before.name && wanted.ownerName === before.ownerName)
          return { result: before, plan: undefined }
        const database = await updateDatabase(sql, before.id, wanted)
        if (wanted.name !== before.name) await databaseRenamed(control, sql, branch.id, before.name, wanted.name)
        const from = { name: before.name, ownerName: before.ownerName }
        return {
          result: database,
          plan: await planChange(control, sql, branch, 'update_database', { ...inputOf(database), from }),
        }
      })
      return { database: result, operations }
    },
    async delete(caller, projectId, branchId, name) {
      await syncedBranch(control, caller, projectId, branchId)
      const { result, operations } = await schedule(control, caller, projectId, async (sql) => {
        const branch = await liveBranch(sql, projectId, branchId)
        const database = await getDatabase(sql, branch.id, name)
        if (!database) return { result: undefined, plan: undefined }
        await markDatabaseDeleting(sql, database.id, true)
        return { result: database, plan: await planChange(control, sql, branch, 'delete_database', inputOf(database)) }
      })
      return result && { database: result, operations }
    },
  }
}
