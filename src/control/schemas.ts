// The schema of a branch's database, and how it differs from another branch's.

import type pg from 'pg'
import { sqlState } from '../compute/roles.ts'
import { readSchemaTables } from '../compute/schema-tables.ts'
import { readSchemaText } from '../compute/schema-text.ts'
import { unifiedDiff } from '../lib/unified-diff.ts'
import type { Branch } from '../model/branch.ts'
import { isReservedDatabaseName } from '../model/database.ts'
import { AppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { longestNameBytes } from '../model/role.ts'
import type { SchemaTable } from '../model/schema-table.ts'
import { liveBranch, visibleProject } from './access.ts'
import type { Control } from './control.ts'
import type { PointInput } from './params.ts'
import type { ControlContext } from './context.ts'
import { withPointCompute } from './point-compute.ts'
import { parsePoint, type Point } from './points.ts'

export function schemaControl(control: ControlContext): Control['schemas'] {
  return {
    async get(caller, projectId, branchId, query) {
      await visibleProject(control.store, caller, projectId)
      const branch = await liveBranch(control.store, projectId, branchId)
      const source = { branch, database: query.databaseName, point: pointOf(query) }
      switch (query.format ?? 'sql') {
        case 'sql':
          return { kind: 'sql', sql: await schemaText(control, source) }
        case 'json':
          return { kind: 'tables', tables: await schemaTables(control, source) }
        default:
          throw new AppError('bad_request', `format ${JSON.stringify(query.format)} is not known; it is sql or json`)
      }
    },

    async compare(caller, projectId, branchId, query) {
      await visibleProject(control.store, caller, projectId)
      const branch = await liveBranch(control.store, projectId, branchId)
      const baseId = query.baseBranchId ?? branch.parentId
      if (baseId === undefined) {
        throw new AppError(
          'bad_request',
          `branch ${branch.id} has no parent: name the branch to compare it with as base_branch_id`,
        )
      }
      const base = await liveBranch(control.store, projectId, baseId).catch((cause: unknown) => {
        throw new AppError('not_found', `base branch ${baseId} not found`, { cause })
      })
      const database = query.databaseName
      const [to, from] = [
        { branch, database, point: pointOf(query) },
        { branch: base, database, point: pointOf(query.base) },
      ]
      // One after the other: where both are the same branch, they share its lock.
      const text = await schemaText(control, to)
      const baseText = await schemaText(control, from)
      return unifiedDiff({ name: `a/${database}`, text: baseText }, { name: `b/${database}`, text })
    },
  }
}

type Source = { branch: Branch; database: string; point: Point }

const pointOf = ({ lsn, timestamp }: PointInput): Point => parsePoint(lsn, timestamp, new Date())

async function schemaText(control: ControlContext, source: Source): Promise<string> {
  return await inDatabase(control, source, async (client, timelineId) => {
    const address = control.supervisor.service(timelineId, source.database)
    return await readSchemaText(client, address, await control.pgDump(address.major, address.owner))
  })
}

async function schemaTables(control: ControlContext, source: Source): Promise<SchemaTable[]> {
  return await inDatabase(control, source, readSchemaTables)
}

/** Postgres is asked for the database, not its row: one that was made by SQL a moment ago is there. */
async function inDatabase<T>(
  control: ControlContext,
  { branch, database, point }: Source,
  work: (client: pg.Client, timelineId: TimelineId) => Promise<T>,
): Promise<T> {
  const notFound = (cause?: unknown): AppError =>
    new AppError('not_found', `database not found on branch ${branch.id}`, { cause })
  if (!isDatabaseName(database)) throw notFound()
  return await withPointCompute(control, branch, point, 'schema', async (timelineId) => {
    const client = await control.supervisor.client(timelineId, database).catch((cause: unknown) => {
      if (sqlState(cause) === '3D000') throw notFound(cause)
      // object_not_in_prerequisite_state
      if (sqlState(cause) === '55000') {
        throw new AppError('unprocessable', `database ${JSON.stringify(database)} lets nobody in`, { cause })
      }
      throw cause
    })
    try {
      return await work(client, timelineId)
    } finally {
      await client.end().catch(() => {})
    }
  })
}

/** Postgres would cut a longer one short, and what follows a zero byte would be read as something else. */
function isDatabaseName(name: string): boolean {
  return !name.includes('\0') && Buffer.byteLength(name) <= longestNameBytes && !isReservedDatabaseName(name)
}
