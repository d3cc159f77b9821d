// The project that the very first start makes, so that there is something to connect to at once.

import type { Caller } from '../model/caller.ts'
import type { ProjectId } from '../model/ids.ts'
import { organizationFor } from '../control/access.ts'
import type { Control } from '../control/control.ts'
import { ensureSetting, getSetting } from '../store/accounts.ts'
import { defaultBranch } from '../store/branches.ts'
import type { Store } from '../store/database.ts'
import { listDatabases } from '../store/databases.ts'
import { listRoles } from '../store/roles.ts'
import { isAppError } from '../model/errors.ts'

const setting = 'example_project'

export async function exampleConnection(control: Control, store: Store, caller: Caller): Promise<string | undefined> {
  const known = await getSetting(store, setting)
  if (known === undefined) {
    const organization = await organizationFor(store, caller, undefined)
    const created = await control.projects.create(caller, {
      name: 'example',
      orgId: organization.id,
      creationSource: 'console',
    })
    await ensureSetting(store, setting, created.project.id)
    return created.connections[0]?.uri
  }
  return await connectionOf(control, store, caller, known as ProjectId)
}

async function connectionOf(
  control: Control,
  store: Store,
  caller: Caller,
  projectId: ProjectId,
): Promise<string | undefined> {
  const branch = await defaultBranch(store, projectId)
  if (!branch) return undefined
  const [[database], [role]] = await Promise.all([listDatabases(store, branch.id), listRoles(store, branch.id)])
  if (!database || !role) return undefined
  try {
    return await control.connectionUris.get(caller, {
      projectId,
      databaseName: database.name,
      roleName: role.name,
      pooled: false,
    })
  } catch (error) {
    if (isAppError(error, 'not_found')) return undefined
    throw error
  }
}
