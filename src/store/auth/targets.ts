// Which integration a request of an app is for, in one statement: it is asked before anything is known of whoever asks.

import type { AuthIntegration } from '../../model/auth.ts'
import type { EndpointId } from '../../model/ids.ts'
import type { AuthTargetName } from '../../model/auth-target.ts'
import type { Sql } from '../database.ts'
import { toIntegration } from './integrations.ts'

export type StoredAuthTarget = {
  integration: AuthIntegration
  version: number
  projectName: string
  endpointId: EndpointId
}

const columns = `select a.*, p.name as project_name, e.id as endpoint_id
   from auth_integrations a
   join branches b on b.id = a.branch_id and b.deleted_at is null
   join projects p on p.id = a.project_id and p.deleted_at is null
   join endpoints e on e.branch_id = a.branch_id and e.type = 'read_write' and e.deleted_at is null`

/** Of live branches that have a read-write endpoint. */
export async function findAuthTarget(sql: Sql, name: AuthTargetName): Promise<StoredAuthTarget | undefined> {
  const [row] =
    name.kind === 'project'
      ? await sql.query(`${columns} where a.id = $1`, [name.id])
      : await sql.query(`${columns} where e.id = $1 and ($2::text is null or a.database_name = $2)`, [
          name.endpointId,
          name.database ?? null,
        ])
  if (!row) return undefined
  return {
    integration: toIntegration(row),
    version: row['version'] as number,
    projectName: row['project_name'] as string,
    endpointId: row['endpoint_id'] as EndpointId,
  }
}
