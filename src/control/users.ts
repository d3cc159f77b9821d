// Users: who the caller is, what he chose, and new ones.

import { AppError } from '../model/errors.ts'
import { newUserId } from '../model/ids.ts'
import { insertUser, setDefaultOrganization } from '../store/accounts.ts'
import { organizationFor, userOf } from './access.ts'
import { makeUserKey } from './api-keys.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDisplayName } from './names.ts'

export function userControl(control: ControlContext): Control['users'] {
  return {
    async me(caller) {
      const [user, organization] = await Promise.all([
        userOf(control.store, caller),
        organizationFor(control.store, caller, undefined).catch(() => undefined),
      ])
      return { user, organization }
    },
    async update(caller, { defaultOrgId }) {
      const organization = await organizationFor(control.store, caller, defaultOrgId)
      if (defaultOrgId !== undefined) await setDefaultOrganization(control.store, caller.userId, organization.id)
      return { user: await userOf(control.store, caller), organization }
    },
    async create({ email, name }) {
      if (name !== undefined) assertDisplayName(name, 'user')
      return await control.store.transaction(async (sql) => {
        const user = await insertUser(sql, { id: newUserId(), email, name: name ?? email, isOperator: false })
        if (!user) throw new AppError('already_exists', `there is a user with the address ${email} already`)
        return { user, ...(await makeUserKey(sql, user.id, 'first key')) }
      })
    },
  }
}
