// People and keys for tests: whoever else there is beside the first user.

import assert from 'node:assert/strict'
import { apiClient, request, type TestServer } from './server.ts'
import type { NeonApi } from './neon.ts'

/** Someone who calls the API with a key of his own. */
export type Person = {
  /** As `request` and the other helpers want it: the same server, his key. */
  server: TestServer
  api: NeonApi
  id: string
  email: string
}

export const withKey = (server: TestServer, apiKey: string): TestServer => ({ ...server, apiKey })

/** A status that is no success fails the test. */
export async function must(
  server: TestServer,
  method: string,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  const answer = await request(server, method, path, body)
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body
}

export async function makeUser(server: TestServer, email: string): Promise<Person> {
  const made = await must(server, 'POST', '/operator/users', { email })
  const { user, api_key: key } = made as { user: { id: string; email: string }; api_key: { key: string } }
  const own = withKey(server, key.key)
  return { server: own, api: apiClient(own), id: user.id, email: user.email }
}

/** With this person as its admin, and nobody else in it. */
export async function makeOrganization(
  server: TestServer,
  name: string,
  admin: Person,
  plan = 'scale_v3',
): Promise<string> {
  const made = await must(server, 'POST', '/operator/organizations', { name, plan, admin_email: admin.email })
  return (made as { organization: { id: string } }).organization.id
}

/** Invited by the admin, accepted by himself. Gives the id of the membership. */
export async function join(admin: Person, orgId: string, person: Person, role: string): Promise<string> {
  const made = await must(admin.server, 'POST', `/organizations/${orgId}/invitations`, {
    invitations: [{ email: person.email, role }],
  })
  const [invitation] = (made as { invitations: { id: string }[] }).invitations
  assert.ok(invitation)
  const accepted = await must(person.server, 'POST', `/invitations/${invitation.id}/accept`)
  return (accepted as { member: { id: string } }).member.id
}

/** An organization's own key, or with a project one for that alone. */
export async function makeOrganizationKey(
  admin: Person,
  orgId: string,
  projectId?: string,
): Promise<{ id: number; server: TestServer; api: NeonApi }> {
  const made = await must(admin.server, 'POST', `/organizations/${orgId}/api_keys`, {
    key_name: projectId === undefined ? 'organization' : 'project',
    ...(projectId === undefined ? {} : { project_id: projectId }),
  })
  const { id, key } = made as { id: number; key: string }
  const own = withKey(admin.server, key)
  return { id, server: own, api: apiClient(own) }
}

export async function organizationNamed(server: TestServer, name: string): Promise<string> {
  const { organizations } = (await must(server, 'GET', '/users/me/organizations')) as {
    organizations: { id: string; name: string }[]
  }
  const found = organizations.find((organization) => organization.name === name)
  assert.ok(found, `an organization named ${name}`)
  return found.id
}
