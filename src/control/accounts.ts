// The first user and his organizations; and who calls with a key.

import type { Caller, User } from '../model/caller.ts'
import { callerOf } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { newOrganizationId, newUserId, type UserId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import { firstUser, insertUser, setDefaultOrganization } from '../store/accounts.ts'
import { findApiKey, insertApiKey, touchApiKey } from '../store/api-keys.ts'
import type { Sql, Store } from '../store/database.ts'
import { insertMember, insertOrganization } from '../store/organizations.ts'
import { hashOf } from './api-keys.ts'
import type { ControlContext } from './context.ts'

/** One for tenants who pay nothing, where projects are created unless another is named, and one for those who do. */
const firstOrganizations = [
  { name: 'sponsored', plan: 'free_v3' },
  { name: 'paid', plan: 'scale_v3' },
] as const

/**
 * A first user, who is the operator and admin of the first organizations, and the key that is printed or configured. Repeatable; a
 * configured key is added to what is there.
 */
export async function ensureFirstUser(store: Store, apiKey: string): Promise<User> {
  return await store.transaction(async (sql) => {
    const user = (await firstUser(sql)) ?? (await makeFirstUser(sql))
    const hash = hashOf(apiKey)
    if (!(await findApiKey(sql, hash)))
      await insertApiKey(sql, { kind: 'user', userId: user.id, name: 'first key', hash })
    return user
  })
}

async function makeFirstUser(sql: Sql): Promise<User> {
  const id = newUserId()
  const user = await insertUser(sql, { id, email: 'admin@pgrove.local', name: 'pgrove', isOperator: true })
  if (!user) throw new AppError('internal', 'the first user was not stored')
  const made: Organization[] = []
  for (const organization of firstOrganizations) made.push(await makeOrganization(sql, organization, id))
  if (made[0]) await setDefaultOrganization(sql, id, made[0].id)
  return user
}

export async function makeOrganization(
  sql: Sql,
  { name, plan }: { name: string; plan: string },
  adminId: UserId,
): Promise<Organization> {
  const id = newOrganizationId()
  const organization = await insertOrganization(sql, { id, name, handle: handleOf(name, id), plan })
  await insertMember(sql, id, adminId, 'admin')
  return organization
}

/** The name as far as it fits into a URL, and the id, which makes it unique. */
function handleOf(name: string, id: string): string {
  const words = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
  return words === '' ? id : `${words.slice(0, 40)}-${id}`
}

/** How long a key's last use may stay unwritten: one row written a minute instead of one a request. */
const touchEveryMs = 60_000
/** Beyond that the one that was noted longest ago is forgotten, and noted again at its next use. */
const mostTouched = 10_000

export class Authenticator {
  readonly #context: () => ControlContext
  readonly #touched = new Map<number, number>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** The database is asked each time: a key that is revoked in one process is revoked in all of them, from the next request on. */
  async authenticate(key: string, from: string): Promise<Caller> {
    const { store } = this.#context()
    const found = key === '' ? undefined : await findApiKey(store, hashOf(key))
    if (!found || found.revokedAt) throw new AppError('unauthorized', 'the API key is missing, unknown or revoked')
    const now = Date.now()
    if ((this.#touched.get(found.id) ?? 0) < now - touchEveryMs) {
      this.#noteTouched(found.id, now)
      await touchApiKey(store, found.id, from)
    }
    return callerOf(found)
  }

  #noteTouched(keyId: number, now: number): void {
    this.#touched.delete(keyId)
    this.#touched.set(keyId, now)
    if (this.#touched.size <= mostTouched) return
    for (const oldest of this.#touched.keys()) {
      this.#touched.delete(oldest)
      return
    }
  }
}
