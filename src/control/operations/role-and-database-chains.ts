// Changes to roles and databases: `apply_config` makes the change in Postgres, `suspend_compute` puts a compute back to sleep that was
// asleep before. The rows say what is wanted; what a failed change leaves behind is taken back.

import { createDatabase, dropDatabase, renameDatabase, setDatabaseOwner } from '../../compute/databases.ts'
import { createRole, dropRole, setRoleVerifier, type Connect } from '../../compute/roles.ts'
import { readActivity } from '../../compute/activity.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import { deleteIntegrationOfDatabase } from '../../store/auth/integrations.ts'
import { deleteDataApiOfDatabase } from '../../store/data-apis.ts'
import { deleteDatabase, markDatabaseDeleting, updateDatabase } from '../../store/databases.ts'
import type { Sql } from '../../store/database.ts'
import { deleteRole, getRole, markRoleDeleting, setRolePassword } from '../../store/roles.ts'
import type pg from 'pg'
import { branchAccessChanged } from '../assignments.ts'
import { branchAuthChanged, databaseRenamed } from '../auth/copies.ts'
import { withBranchCompute, withClient } from '../branch-compute.ts'
import type { ControlContext } from '../context.ts'
import { nothingToUndo, type ChainDefinition, type Step, type StepContext } from './chain.ts'
import { stepBranch } from './step-branch.ts'

type Change<Input> = {
  kind: string
  /** `connect` opens further connections, to any database of the branch. */
  apply(client: pg.Client, input: Input, control: ControlContext, connect: Connect): Promise<void>
  /** Rows, in the transaction that ends the chain. */
  finished?(sql: Sql, input: Input): Promise<void>
  undone?(sql: Sql, input: Input, control: ControlContext): Promise<void>
  /** Roles, and with them who may come in. */
  changesAccess?: boolean
  /** Databases, and with them where services answer for them. */
  changesServices?: boolean
}

/** Only if nobody has come to use it meanwhile. */
const suspendIfUnused: Step = {
  async run(step) {
    const { control } = step
    const branch = await stepBranch(step)
    const { timelineId } = branch
    if (!timelineId) return
    using _lock = await control.branchLocks.acquire(branch.id, 'suspend_compute')
    if (control.supervisor.state(timelineId).kind !== 'running') return
    const sessions = await withClient(control, timelineId, async (client) => (await readActivity(client)).sessions)
    if (sessions === 0) await control.computes.suspend(timelineId, 'chain')
  },
  undo: nothingToUndo,
}

function changeChain<Input extends { branchId: Branch['id'] }>(change: Change<Input>): ChainDefinition {
  const inputOf = (step: { chain: StepContext['chain'] }): Input => step.chain.input as unknown as Input
  return {
    kind: change.kind,
    steps: {
      apply_config: {
        async run(step) {
          const branch = await stepBranch(step)
          const { control } = step
          const { timelineId } = branch
          if (!timelineId) throw new AppError('internal', `branch ${branch.id} has lost its timeline`)
          await withBranchCompute(control, branch, 'apply_config', (client) =>
            change.apply(client, inputOf(step), control, (database) => control.supervisor.client(timelineId, database)),
          )
        },
        undo: nothingToUndo,
      },
      suspend_compute: suspendIfUnused,
    },
    async finished(_control, chain, sql) {
      await change.finished?.(sql, inputOf({ chain }))
    },
    async undone(control, chain, sql) {
      await change.undone?.(sql, inputOf({ chain }), control)
    },
    async ended(control, chain) {
      const { branchId } = inputOf({ chain })
      if (change.changesAccess) await branchAccessChanged(control, branchId)
      if (!change.changesServices) return
      await branchAuthChanged(control, branchId)
      await control.dataApiPlane.changed({ branchId, what: 'all' })
    },
  }
}

type RoleInput = { branchId: Branch['id']; name: string }

async function verifierOf(control: ControlContext, { branchId, name }: RoleInput): Promise<string | undefined> {
  const role = await getRole(control.store, branchId, name)
  if (!role) throw new AppError('internal', `role ${name} has lost its row`)
  return role.verifier
}

export const createRoleChain = changeChain<RoleInput>({
  kind: 'create_role',
  async apply(client, input, control) {
    const verifier = await verifierOf(control, input)
    await createRole(client, { name: input.name, verifier, login: verifier !== undefined })
  },
  undone: (sql, { branchId, name }) => deleteRole(sql, branchId, name),
  changesAccess: true,
})

export const deleteRoleChain = changeChain<RoleInput>({
  kind: 'delete_role',
  apply: (_client, { name }, _control, connect) => dropRole(connect, name),
  finished: (sql, { branchId, name }) => deleteRole(sql, branchId, name),
  undone: (sql, { branchId, name }) => markRoleDeleting(sql, branchId, name, false),
  changesAccess: true,
})

type ResetInput = RoleInput & { previous: { verifier: string | null; sealed: string | null } }

export const resetPasswordChain = changeChain<ResetInput>({
  kind: 'reset_password',
  async apply(client, input, control) {
    const verifier = await verifierOf(control, input)
    if (verifier !== undefined) await setRoleVerifier(client, input.name, verifier)
  },
  async undone(sql, { branchId, name, previous }) {
    await setRolePassword(sql, branchId, name, {
      verifier: previous.verifier ?? undefined,
      encryptedPassword: previous.sealed === null ? undefined : Buffer.from(previous.sealed, 'base64'),
    })
  },
  changesAccess: true,
})

type DatabaseInput = { branchId: Branch['id']; id: number; name: string; ownerName: string }
type DatabaseUpdateInput = DatabaseInput & { from: { name: string; ownerName: string } }

export const createDatabaseChain = changeChain<DatabaseInput>({
  kind: 'create_database',
  apply: (client, { name, ownerName }) => createDatabase(client, name, ownerName),
  undone: (sql, { id }) => deleteDatabase(sql, id),
})

export const updateDatabaseChain = changeChain<DatabaseUpdateInput>({
  kind: 'update_database',
  async apply(client, { from, name, ownerName }) {
    if (from.name !== name) await renameDatabase(client, from.name, name)
    if (from.ownerName !== ownerName) await setDatabaseOwner(client, name, ownerName)
  },
  async undone(sql, { id, branchId, name, from }, control) {
    await updateDatabase(sql, id, from)
    await databaseRenamed(control, sql, branchId, name, from.name)
  },
  changesServices: true,
})

export const deleteDatabaseChain = changeChain<DatabaseInput>({
  kind: 'delete_database',
  apply: (_client, { name }, _control, connect) => dropDatabase(connect, name),
  async finished(sql, { id, branchId, name }) {
    await deleteDatabase(sql, id)
    await deleteIntegrationOfDatabase(sql, branchId, name)
    await deleteDataApiOfDatabase(sql, branchId, name)
  },
  changesServices: true,
  undone: (sql, { id }) => markDatabaseDeleting(sql, id, false),
})
