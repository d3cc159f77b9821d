// The schema of a branch's database, and how it differs from another branch's.

import { readSchemaTables } from '../compute/schema-tables.ts'
import { readSchemaText } from '../compute/schema-text.ts'
import { unifiedDiff } from '../lib/unified-diff.ts'
import type { Branch } from '../model/branch.ts'
import { isReservedDatabaseName } from '../model/database.ts'
import { AppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import type { SchemaTable } from '../model/schema-table.ts'
import { liveBranch, visibleProject } from './access.ts'
import { withClient } from './branch-compute.ts'
import type { Control, PointInput } from './control.ts'
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

async function schemaText(control: ControlContext, { branch, database, point }: Source): Promise<string> {
  return await withPointCompute(control, branch, point, 'schema', async (timelineId) => {
    await assertDatabase(control, branch, timelineId, database)
    const source = control.supervisor.service(timelineId, database)
    return await readSchemaText(source, await control.pgDump(source.major, source.owner))
  })
}

async function schemaTables(control: ControlContext, { branch, database, point }: Source): Promise<SchemaTable[]> {
  return await withPointCompute(control, branch, point, 'schema', async (timelineId) => {
    await assertDatabase(control, branch, timelineId, database)
    const client = await control.supervisor.client(timelineId, database)
    try {
      return await readSchemaTables(client)
    } finally {
      await client.end().catch(() => {})
    }
  })
}

/** Asked of Postgres, which knows of a database that was made by SQL a moment ago. */
async function assertDatabase(
  control: ControlContext,
  branch: Branch,
  timelineId: TimelineId,
  name: string,
): Promise<void> {
  const { rows } = await withClient(control, timelineId, (client) =>
    client.query<{ open: boolean }>(
      'SELECT datallowconn AND datconnlimit <> -2 AS open FROM pg_database WHERE datname = $1',
      [name],
    ),
  )
  const [found] = rows
  if (!found || isReservedDatabaseName(name)) {
    throw new AppError('not_found', `database not found on branch ${branch.id}`)
  }
  if (!found.open) throw new AppError('unprocessable', `database ${JSON.stringify(name)} lets nobody in`)
}
