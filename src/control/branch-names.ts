import { AppError } from '../model/errors.ts'
import type { Sql } from '../store/database.ts'

const longestName = 256

async function isTaken(sql: Sql, projectId: string, name: string): Promise<boolean> {
  const rows = await sql.query('select from branches where project_id = $1 and name = $2 and deleted_at is null', [
    projectId,
    name,
  ])
  return rows.length > 0
}

export async function assertNameFree(sql: Sql, projectId: string, name: string): Promise<void> {
  if (await isTaken(sql, projectId, name))
    throw new AppError('already_exists', `branch named ${JSON.stringify(name)} already exists in this project`)
}

/** The name itself, or with a number behind it. `exact`: a name that somebody asked for is not changed, but refused. */
export async function freeBranchName(
  sql: Sql,
  projectId: string,
  name: string,
  options: { exact?: boolean } = {},
): Promise<string> {
  if (options.exact === true) await assertNameFree(sql, projectId, name)
  for (let n = 1; ; n++) {
    const suffix = n === 1 ? '' : ` ${n}`
    const wished = `${name.slice(0, longestName - suffix.length)}${suffix}`
    if (!(await isTaken(sql, projectId, wished))) return wished
  }
}
