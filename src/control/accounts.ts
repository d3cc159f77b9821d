// Users, their organizations and their API keys.

import { createHash, randomInt } from 'node:crypto'
import type { Caller, User } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { newOrganizationId, newUserId } from '../model/ids.ts'
import {
  findApiKey,
  firstUser,
  getUser,
  getUsers,
  insertApiKey,
  insertMember,
  insertOrganization,
  insertUser,
  listApiKeys,
  listMembers,
  listOrganizationsOf,
  revokeApiKey,
  touchApiKey,
} from '../store/accounts.ts'
import type { Store } from '../store/database.ts'
import { organizationFor } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDisplayName } from './names.ts'

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'

export function newApiKey(): string {
  let text = 'napi_'
  for (let i = 0; i < 64; i++) text += alphabet[randomInt(alphabet.length)]
  return text
}

const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest()

/** A first user with one organization, and the key that is printed or configured. Repeatable; a configured key is added to what is there. */
export async function ensureFirstUser(store: Store, apiKey: string): Promise<User> {
  return await store.transaction(async (sql) => {
    let user = await firstUser(sql)
    if (!user) {
      const id = newUserId()
      await insertUser(sql, { id, email: 'admin@pgrove.local', name: 'pgrove' })
      const orgId = newOrganizationId()
      await insertOrganization(sql, { id: orgId, name: 'pgrove', handle: `pgrove-${orgId}`, plan: 'scale' })
      await insertMember(sql, orgId, id, 'admin')
      user = await getUser(sql, id)
    }
    if (!user) throw new AppError('internal', 'the first user was not stored')
    const hash = hashOf(apiKey)
    if (!(await findApiKey(sql, hash))) await insertApiKey(sql, { userId: user.id, name: 'first key', hash })
    return user
  })
}

/** How long a key's last use may stay unwritten: one row written a minute instead of one a request. */
const touchEveryMs = 60_000

export class Authenticator {
  readonly #context: () => ControlContext
  readonly #touched = new Map<number, number>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  async authenticate(key: string, from: string): Promise<Caller> {
    const { store } = this.#context()
    const found = key === '' ? undefined : await findApiKey(store, hashOf(key))
    if (!found || found.revokedAt) throw new AppError('unauthorized', 'the API key is missing, unknown or revoked')
    const now = Date.now()
    if ((this.#touched.get(found.id) ?? 0) < now - touchEveryMs) {
      this.#touched.set(found.id, now)
      await touchApiKey(store, found.id, from)
    }
    return { kind: 'user', userId: found.userId, keyId: found.id }
  }
}

async function userOf(control: ControlContext, caller: Caller): Promise<User> {
  const user = await getUser(control.store, caller.userId)
  if (!user) throw new AppError('unauthorized', 'the user of this API key is gone')
  return user
}

export function apiKeyControl(control: ControlContext): Control['apiKeys'] {
  return {
    async list(caller) {
      return { keys: await listApiKeys(control.store, caller.userId), user: await userOf(control, caller) }
    },
    async create(caller, name) {
      assertDisplayName(name, 'key', 64)
      const secret = newApiKey()
      return { key: await insertApiKey(control.store, { userId: caller.userId, name, hash: hashOf(secret) }), secret }
    },
    async revoke(caller, keyId) {
      const key = await revokeApiKey(control.store, caller.userId, keyId)
      if (!key) throw new AppError('not_found', 'API key not found')
      return { key, user: await userOf(control, caller) }
    },
  }
}

export function userControl(control: ControlContext): Control['users'] {
  return {
    async me(caller) {
      return {
        user: await userOf(control, caller),
        organization: await organizationFor(control.store, caller, undefined),
      }
    },
  }
}

export function organizationControl(control: ControlContext): Control['organizations'] {
  return {
    list: (caller) => listOrganizationsOf(control.store, caller.userId),
    get: (caller, orgId) => organizationFor(control.store, caller, orgId),
    async members(caller, orgId) {
      const organization = await organizationFor(control.store, caller, orgId)
      const members = await listMembers(control.store, organization.id)
      const users = new Map(
        (
          await getUsers(
            control.store,
            members.map(({ userId }) => userId),
          )
        ).map((user) => [user.id, user]),
      )
      return members.flatMap(({ id, userId, role, joinedAt }) => {
        const user = users.get(userId)
        return user ? [{ id, user, role, joinedAt }] : []
      })
    },
  }
}
