import type { Branch } from '../model/branch.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import type { Role } from '../model/role.ts'
import type { Sql } from '../store/database.ts'
import { listDatabases } from '../store/databases.ts'
import { getRole, insertRole, listRoles, markRoleDeleting, setRolePassword } from '../store/roles.ts'
import { liveBranch } from './access.ts'
import { branchAccessChanged } from './assignments.ts'
import { syncedBranch } from './catalog.ts'
import { planChange } from './change-plan.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertRolesLimit } from './limits.ts'
import { assertRoleName } from './names.ts'
import { schedule } from './operations/schedule.ts'
import { newRoleSecret, revealRolePassword } from './role-secrets.ts'

async function existingRole(sql: Sql, branch: Branch, name: string): Promise<Role> {
  const role = await getRole(sql, branch.id, name)
  if (!role) throw new AppError('not_found', 'role not found')
  return role
}

export function roleControl(control: ControlContext): Control['roles'] {
  const find = async (caller: Caller, projectId: string, branchId: string, name: string): Promise<Role> => {
    const branch = await syncedBranch(control, caller, projectId, branchId)
    return await existingRole(control.store, branch, name)
  }
  return {
    async list(caller, projectId, branchId) {
      const branch = await syncedBranch(control, caller, projectId, branchId)
      return await listRoles(control.store, branch.id)
    },
    get: find,
    async create(caller, projectId, branchId, { name, noLogin }) {
      assertRoleName(name)
      await syncedBranch(control, caller, projectId, branchId)
      const { result, operations } = await schedule(control, caller, projectId, async (sql, project) => {
        const branch = await liveBranch(sql, projectId, branchId)
        const roles = await listRoles(sql, branch.id)
        if (roles.some((role) => role.name === name))
          throw new AppError('already_exists', `role ${JSON.stringify(name)} already exists`)
        await assertRolesLimit(sql, project.orgId, roles.length)
        const secret = noLogin
          ? undefined
          : await newRoleSecret(control.cipher, branch.id, name, project.storePasswords)
        const role = await insertRole(sql, {
          branchId: branch.id,
          name,
          authenticationMethod: noLogin ? 'no_login' : 'password',
          protected: false,
          verifier: secret?.verifier,
          encryptedPassword: secret?.encryptedPassword,
        })
        return {
          result: { role, password: secret?.password },
          plan: await planChange(control, sql, branch, 'create_role', { branchId: branch.id, name }),
        }
      })
      await branchAccessChanged(control, result.role.branchId)
      return { ...result, operations }
    },
    async delete(caller, projectId, branchId, name) {
      await syncedBranch(control, caller, projectId, branchId)
      const { result, operations } = await schedule(control, caller, projectId, async (sql) => {
        const branch = await liveBranch(sql, projectId, branchId)
        const role = await getRole(sql, branch.id, name)
        if (!role) return { result: undefined, plan: undefined }
        if (role.protected)
          throw new AppError('unprocessable', `role ${JSON.stringify(name)} is protected and cannot be deleted`)
        const owned = (await listDatabases(sql, branch.id)).filter((database) => database.ownerName === name)
        if (owned[0]) {
          throw new AppError(
            'unprocessable',
            `role ${JSON.stringify(name)} owns database ${JSON.stringify(owned[0].name)}; delete it or give it another owner first`,
          )
        }
        await markRoleDeleting(sql, branch.id, name, true)
        return {
          result: role,
          plan: await planChange(control, sql, branch, 'delete_role', { branchId: branch.id, name }),
        }
      })
      if (!result) return undefined
      await branchAccessChanged(control, result.branchId)
      return { role: result, password: undefined, operations }
    },
    async revealPassword(caller, projectId, branchId, name) {
      const role = await find(caller, projectId, branchId, name)
      const password = revealRolePassword(control.cipher, role)
      if (password === undefined) {
        throw new AppError('precondition_failed', 'the password of this role is not stored; reset it to get a new one')
      }
      return password
    },
    async resetPassword(caller, projectId, branchId, name) {
      await syncedBranch(control, caller, projectId, branchId)
      const { result, operations } = await schedule(control, caller, projectId, async (sql, project) => {
        const branch = await liveBranch(sql, projectId, branchId)
        const before = await existingRole(sql, branch, name)
        if (before.authenticationMethod === 'no_login')
          throw new AppError('unprocessable', `role ${JSON.stringify(name)} cannot log in`)
        const secret = await newRoleSecret(control.cipher, branch.id, name, project.storePasswords)
        const role = await setRolePassword(sql, branch.id, name, secret)
        // Should Postgres not take the new one, the old one is shown again: sealed, as in its row.
        const previous = {
          verifier: before.verifier ?? null,
          sealed: before.encryptedPassword ? Buffer.from(before.encryptedPassword).toString('base64') : null,
        }
        return {
          result: { role, password: secret.password },
          plan: await planChange(control, sql, branch, 'reset_password', { branchId: branch.id, name, previous }),
        }
      })
      await branchAccessChanged(control, result.role.branchId)
      return { ...result, operations }
    },
  }
}
