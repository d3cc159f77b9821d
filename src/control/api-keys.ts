// API keys: personal ones, those of organizations, and those for one project. A secret is shown once and kept as its hash.

import { createHash, randomInt } from 'node:crypto'
import type { ApiKey, ApiKeyKind, Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId, ProjectId, UserId } from '../model/ids.ts'
import { lockUser } from '../store/accounts.ts'
import {
  countOrganizationKeys,
  countUserKeys,
  getOrganizationKey,
  holdLiveKey,
  insertApiKey,
  listOrganizationKeys,
  listUserKeys,
  revokeKeysMadeBy,
  revokeKeysOfProjects,
  revokeOrganizationKey,
  revokeUserKey,
} from '../store/api-keys.ts'
import type { Sql } from '../store/database.ts'
import { lockOrganization } from '../store/organizations.ts'
import { assertMay, organizationFor, projectNotFound, userOf, visibleProject } from './access.ts'
import { may, type Requirement, type Role } from './authorization.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { limitsOf } from './limits.ts'
import { assertDisplayName } from './names.ts'

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'

export function newApiKey(): string {
  let text = 'napi_'
  for (let i = 0; i < 64; i++) text += alphabet[randomInt(alphabet.length)]
  return text
}

export const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest()

/** Of a person: Neon asks to stay below that; here it is held. An organization's number is among its limits. */
const personalKeys = 10_000
const longestName = 64

function assertRoomForKey(count: number, most: number, whose: string): void {
  if (count < most) return
  throw new AppError('unprocessable', `${whose} has ${count} API keys, and ${most} is the limit; revoke some first`)
}

const keyNotFound = (): AppError => new AppError('not_found', 'API key not found')

/** A key that is revoked while it makes another one has made none: revoking it is the end of it. */
async function assertStillGood(sql: Sql, { keyId }: Caller): Promise<void> {
  if (await holdLiveKey(sql, keyId)) return
  throw new AppError('unauthorized', 'the API key has just been revoked')
}

/** A key that is made for a user by somebody else, or by himself. */
export async function makeUserKey(sql: Sql, userId: UserId, name: string): Promise<{ key: ApiKey; secret: string }> {
  assertDisplayName(name, 'key', longestName)
  await lockUser(sql, userId)
  assertRoomForKey(await countUserKeys(sql, userId), personalKeys, 'this user')
  const secret = newApiKey()
  return { key: await insertApiKey(sql, { kind: 'user', userId, name, hash: hashOf(secret) }), secret }
}

/** An organization's key is its admin, so it takes an admin to make or revoke one; a project's takes whoever may change the project. */
function requirementFor(projectId: string | undefined): Requirement {
  return projectId === undefined ? 'organization:admin' : 'project:write'
}

async function makeOrganizationKey(
  control: ControlContext,
  caller: Caller,
  orgId: string,
  input: { name: string; projectId?: string | undefined },
): ReturnType<Control['apiKeys']['createForOrganization']> {
  const { name, projectId } = input
  assertDisplayName(name, 'key', longestName)
  return await control.store.transaction(async (sql) => {
    const organization = await organizationFor(sql, caller, orgId)
    // The organization before the key: in this order they are taken where a member is removed, too.
    await lockOrganization(sql, organization.id)
    await assertStillGood(sql, caller)
    await assertMay(sql, caller, requirementFor(projectId), { orgId, projectId })
    const project = projectId === undefined ? undefined : await visibleProject(sql, caller, projectId)
    if (project && project.orgId !== organization.id) throw projectNotFound()
    const { apiKeys } = limitsOf(organization)
    assertRoomForKey(await countOrganizationKeys(sql, organization.id), apiKeys, 'this organization')
    const secret = newApiKey()
    const key = await insertApiKey(sql, {
      kind: project ? 'project' : 'organization',
      userId: caller.userId,
      orgId: organization.id,
      projectId: project?.id,
      name,
      hash: hashOf(secret),
    })
    return { key, secret }
  })
}

async function revokeForOrganization(
  control: ControlContext,
  caller: Caller,
  orgId: string,
  keyId: number,
): ReturnType<Control['apiKeys']['revokeForOrganization']> {
  return await control.store.transaction(async (sql) => {
    const organization = await organizationFor(sql, caller, orgId)
    const key = await getOrganizationKey(sql, organization.id, keyId)
    if (!key) throw keyNotFound()
    await assertMay(sql, caller, requirementFor(key.projectId), { orgId, projectId: key.projectId })
    const revoked = await revokeOrganizationKey(sql, organization.id, keyId)
    if (!revoked) throw keyNotFound()
    return revoked
  })
}

export function apiKeyControl(control: ControlContext): Control['apiKeys'] {
  return {
    async list(caller) {
      return { keys: await listUserKeys(control.store, caller.userId), user: await userOf(control.store, caller) }
    },
    create: (caller, name) =>
      control.store.transaction(async (sql) => {
        await assertStillGood(sql, caller)
        return await makeUserKey(sql, caller.userId, name)
      }),
    async revoke(caller, keyId) {
      const key = await revokeUserKey(control.store, caller.userId, keyId)
      if (!key) throw keyNotFound()
      return { key, user: await userOf(control.store, caller) }
    },
    async listForOrganization(caller, orgId) {
      const organization = await organizationFor(control.store, caller, orgId)
      return await listOrganizationKeys(control.store, organization.id)
    },
    createForOrganization: (caller, orgId, input) => makeOrganizationKey(control, caller, orgId, input),
    revokeForOrganization: (caller, orgId, keyId) => revokeForOrganization(control, caller, orgId, keyId),
  }
}

/** For projects that leave their organization: nobody there keeps a way in. */
export async function revokeProjectKeys(sql: Sql, projectIds: readonly ProjectId[]): Promise<void> {
  await revokeKeysOfProjects(sql, projectIds)
}

/**
 * The keys that a member made for the organization end where they would give more than he has there now: whoever made them knows them.
 * `role`: what he is from now on; `stranger` where he is no member any more.
 */
export async function revokeKeysBeyond(sql: Sql, orgId: OrganizationId, userId: UserId, role: Role): Promise<void> {
  const kinds: ApiKeyKind[] = []
  if (!may(role, 'organization:admin')) kinds.push('organization')
  if (!may(role, 'project:write')) kinds.push('project')
  if (kinds.length > 0) await revokeKeysMadeBy(sql, orgId, userId, kinds)
}
