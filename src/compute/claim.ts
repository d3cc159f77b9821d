// Turns a template's clone into somebody's database, in one round trip: their role, and `neondb` under their name and theirs.

import type pg from 'pg'
import type { PgMajor } from '../model/compute.ts'
import { applyDatabases, databaseChangeSql, listDatabases, renameDatabase } from './databases.ts'
import { templateDatabase } from './postgres-service.ts'
import { applyRoles, roleChangeSql, type DesiredRole } from './roles.ts'
import { sqlName } from './sql-text.ts'

/** May run again: what a run that died left done is found done. */
export async function claim(
  client: pg.Client,
  major: PgMajor,
  wanted: { role: DesiredRole; database: string },
): Promise<void> {
  const { role, database } = wanted
  const ownership = { name: database, owner: role.name }
  const statements = [
    roleChangeSql({ kind: 'create', role }, major),
    ...(database === templateDatabase
      ? []
      : [`ALTER DATABASE ${sqlName(templateDatabase)} RENAME TO ${sqlName(database)}`]),
    databaseChangeSql({ kind: 'set_owner', database: ownership }),
  ]
  try {
    // Without parameters, one message and one transaction.
    await client.query(statements.join('; '))
  } catch {
    // Partly or wholly done before, or something is in the way: step by step, which finds out and says what.
    await applyRoles(client, [role])
    const there = (await listDatabases(client)).some(({ name }) => name === database)
    if (!there) await renameDatabase(client, templateDatabase, database)
    await applyDatabases(client, [ownership])
  }
}
