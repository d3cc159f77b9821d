// Roles and databases that a tenant made, changed or dropped by SQL, read back into the rows: what the API shows is what there is.
//
// Looked at while the compute runs (before it is listed, branched or suspended); what a sleeping compute has cannot change.

import { listDatabases as observeDatabases, type ObservedDatabase } from '../compute/databases.ts'
import { listRoles as observeRoles, type ObservedRole } from '../compute/roles.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { within } from '../lib/within.ts'
import type { Branch } from '../model/branch.ts'
import type { Caller } from '../model/caller.ts'
import { longestNameBytes, type Role } from '../model/role.ts'
import type { Database } from '../model/database.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { getBranch } from '../store/branches.ts'
import { deleteDatabase, insertDatabase, listDatabases, updateDatabase } from '../store/databases.ts'
import { hasUnfinishedChain, newestChain } from '../store/operations.ts'
import { lockProject } from '../store/projects.ts'
import { deleteRole, insertRole, listRoles, setRoleLogin, setRolePassword } from '../store/roles.ts'
import { liveBranch, visibleProject } from './access.ts'
import { refreshAssignment } from './assignments.ts'
import { isBranchRunning, withClient } from './branch-compute.ts'
import type { ControlContext } from './context.ts'
import type pg from 'pg'

export type CatalogChange =
  | { kind: 'role_appeared'; role: ObservedRole }
  | { kind: 'role_changed'; role: ObservedRole; passwordChanged: boolean }
  | { kind: 'role_vanished'; name: string }
  | { kind: 'database_appeared'; database: ObservedDatabase }
  | { kind: 'database_changed'; id: number; database: ObservedDatabase }
  | { kind: 'database_vanished'; id: number }

export type Catalog<R, D> = { roles: readonly R[]; databases: readonly D[] }

/** What the rows have to learn. Pure. Roles come before the databases that they own. */
export function diffCatalog(
  rows: Catalog<Role, Database>,
  observed: Catalog<ObservedRole, ObservedDatabase>,
): CatalogChange[] {
  const changes: CatalogChange[] = []
  const knownRoles = new Map(rows.roles.map((role) => [role.name, role]))
  for (const role of observed.roles) {
    const known = knownRoles.get(role.name)
    if (!known) {
      changes.push({ kind: 'role_appeared', role })
      continue
    }
    const passwordChanged = known.verifier !== role.verifier
    if (passwordChanged || (known.authenticationMethod === 'password') !== role.login) {
      changes.push({ kind: 'role_changed', role, passwordChanged })
    }
  }
  const thereRoles = new Set(observed.roles.map((role) => role.name))
  for (const role of rows.roles)
    if (!thereRoles.has(role.name)) changes.push({ kind: 'role_vanished', name: role.name })
  const knownDatabases = new Map(rows.databases.map((database) => [database.name, database]))
  for (const database of observed.databases) {
    const known = knownDatabases.get(database.name)
    if (!known) changes.push({ kind: 'database_appeared', database })
    else if (known.ownerName !== database.owner) changes.push({ kind: 'database_changed', id: known.id, database })
  }
  const thereDatabases = new Set(observed.databases.map((database) => database.name))
  for (const database of rows.databases)
    if (!thereDatabases.has(database.name)) changes.push({ kind: 'database_vanished', id: database.id })
  return changes
}

/** A branch that the caller may see, its rows as good as a look into Postgres makes them. */
export async function syncedBranch(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
): Promise<Branch> {
  await visibleProject(control.store, caller, projectId)
  const branch = await liveBranch(control.store, projectId, branchId)
  await syncCatalog(control, branch)
  return branch
}

/** A look that fails leaves the rows as they are: they are then as good as they were. */
export async function syncCatalog(control: ControlContext, branch: Branch, given?: pg.Client): Promise<void> {
  const { timelineId } = branch
  if (timelineId === undefined || branch.state !== 'ready' || !isBranchRunning(control, branch)) return
  if (control.runner.isWorking(branch.projectId)) return
  try {
    const newest = await newestChain(control.store, branch.projectId)
    const observed = given ? await observe(given) : await withClient(control, timelineId, observe)
    await control.store.transaction(async (sql) => {
      await lockProject(sql, branch.projectId)
      // An operation is changing these very rows, or did so since the look: what was observed may be older than they are.
      if (await hasUnfinishedChain(sql, branch.projectId)) return
      if ((await newestChain(sql, branch.projectId)) !== newest) return
      const rows = { roles: await listRoles(sql, branch.id), databases: await listDatabases(sql, branch.id) }
      for (const change of diffCatalog(rows, observed)) await applyChange(sql, branch, change)
    })
  } catch (error) {
    // It has been stopped over that, and is read back when it runs the next time.
    if (!isBranchRunning(control, branch)) return
    control.logger.warn({ branch: branch.id, cause: errorChain(error) }, 'could not read roles and databases back')
  }
}

const reading = new SingleFlight<void>()

/** Of a compute that runs for an endpoint. Many who ask at once are one look. Never rejects. */
export function readBack(control: ControlContext, timelineId: TimelineId): Promise<void> {
  return reading.run(timelineId, async () => {
    try {
      const serving = control.computes.serving().get(timelineId)
      const branch = serving && (await getBranch(control.store, serving.projectId, serving.branchId))
      if (!branch || branch.timelineId !== timelineId) return
      await syncCatalog(control, branch)
      await refreshAssignment(control, serving.endpointId)
    } catch (error) {
      control.logger.debug({ timeline: timelineId, cause: errorChain(error) }, 'roles could not be read back')
    }
  })
}

/** Before all computes are stopped. Bounded: whoever stops us waits for it. */
export async function readAllBack(control: ControlContext): Promise<void> {
  const left = [...control.computes.serving().keys()]
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await readBack(control, next)
  }
  const all = Promise.all(Array.from({ length: looksAtOnce }, work))
  await within(all, longestReadBackMs, () => new AppError('unavailable', 'not in time')).catch(() => {})
}

/**
 * The rows become what the data has: after a branch got data of another time, and before its chain stops its compute. For the branch's own
 * chain, which nobody races. Of a role whose password is another one in the data, the stored one opens nothing and is forgotten.
 */
export async function rereadCatalog(control: ControlContext, branch: Branch, timelineId: TimelineId): Promise<void> {
  const observed = await withClient(control, timelineId, observe)
  await control.store.transaction(async (sql) => {
    const rows = { roles: await listRoles(sql, branch.id), databases: await listDatabases(sql, branch.id) }
    for (const change of diffCatalog(rows, observed)) await applyChange(sql, branch, change)
  })
}

const looksAtOnce = 8
const longestReadBackMs = 10_000

/** Far more than the API makes. Reading back what a tenant made in a loop would keep everybody else's suspensions waiting. */
const mostNames = 5000

async function observe(client: pg.Client): Promise<Catalog<ObservedRole, ObservedDatabase>> {
  const { rows } = await client.query<{ names: number }>(
    'select ((select count(*) from pg_roles) + (select count(*) from pg_database))::int as names',
  )
  const names = rows[0]?.names ?? 0
  if (names > mostNames)
    throw new AppError('unprocessable', `${names} roles and databases are too many to be read back`)
  const short = ({ name }: { name: string }): boolean => Buffer.byteLength(name) <= longestNameBytes
  return {
    roles: (await observeRoles(client)).filter(short),
    databases: (await observeDatabases(client)).filter(short),
  }
}

async function applyChange(sql: Parameters<typeof listRoles>[0], branch: Branch, change: CatalogChange): Promise<void> {
  switch (change.kind) {
    case 'role_appeared':
      await insertRole(sql, {
        branchId: branch.id,
        name: change.role.name,
        authenticationMethod: change.role.login ? 'password' : 'no_login',
        protected: false,
        verifier: change.role.verifier,
        encryptedPassword: undefined,
      })
      return
    case 'role_changed':
      await setRoleLogin(sql, branch.id, change.role.name, change.role.login)
      // The password that is stored is no longer the one that opens.
      if (change.passwordChanged) {
        await setRolePassword(sql, branch.id, change.role.name, {
          verifier: change.role.verifier,
          encryptedPassword: undefined,
        })
      }
      return
    case 'role_vanished':
      return await deleteRole(sql, branch.id, change.name)
    case 'database_appeared':
      await insertDatabase(sql, { branchId: branch.id, name: change.database.name, ownerName: change.database.owner })
      return
    case 'database_changed':
      await updateDatabase(sql, change.id, { name: change.database.name, ownerName: change.database.owner })
      return
    case 'database_vanished':
      return await deleteDatabase(sql, change.id)
  }
}
