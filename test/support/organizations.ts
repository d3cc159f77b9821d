// A test's organizations and people: the two that a first start makes, further ones, and what an operator lets them have.

import assert from 'node:assert/strict'
import { createApiClient } from '@neondatabase/api-client'
import type { NeonApi } from './neon.ts'
import { apiClient, request, type TestServer } from './server.ts'

export async function firstOrganizations(server: TestServer): Promise<{ sponsored: string; paid: string }> {
  const { data } = await apiClient(server).getCurrentUserOrganizations()
  const idOf = (name: string): string => data.organizations.find((each) => each.name === name)?.id ?? ''
  return { sponsored: idOf('sponsored'), paid: idOf('paid') }
}

export type LimitsAnswer = {
  org_id: string
  plan: string
  projects_count: number
  limits: Record<string, number | boolean>
  overridden: string[]
}

/** null: what the plan says. */
export async function setLimits(
  server: TestServer,
  orgId: string,
  limits: Record<string, number | boolean | null>,
): Promise<LimitsAnswer> {
  const { status, body } = await request(server, 'PATCH', `/operator/organizations/${orgId}/limits`, { limits })
  assert.equal(status, 200, JSON.stringify(body))
  return body as LimitsAnswer
}

/** The test's own user is its admin. */
export async function newOrganization(server: TestServer, name: string, plan = 'scale_v3'): Promise<string> {
  const { status, body } = await request(server, 'POST', '/operator/organizations', { name, plan })
  assert.equal(status, 200, JSON.stringify(body))
  return (body['organization'] as { id: string }).id
}

export type Person = { id: string; email: string; api: NeonApi; server: TestServer }

/** Somebody with a personal key. `server` is the same one, called with that key. */
export async function newPerson(server: TestServer, email: string): Promise<Person> {
  const { status, body } = await request(server, 'POST', '/operator/users', { email })
  assert.equal(status, 200, JSON.stringify(body))
  const { user, api_key: key } = body as { user: { id: string }; api_key: { key: string } }
  const api = createApiClient({ apiKey: key.key, baseURL: server.apiUrl })
  return { id: user.id, email, api, server: { ...server, apiKey: key.key } }
}

/** Invited, and accepted. */
export async function addMember(server: TestServer, orgId: string, person: Person, role = 'member'): Promise<void> {
  const invited = await request(server, 'POST', `/organizations/${orgId}/invitations`, {
    invitations: [{ email: person.email, role }],
  })
  assert.equal(invited.status, 200, JSON.stringify(invited.body))
  const [invitation] = invited.body['invitations'] as { id: string }[]
  const accepted = await request(person.server, 'POST', `/invitations/${invitation?.id}/accept`)
  assert.equal(accepted.status, 200, JSON.stringify(accepted.body))
}

/** A client with a key of another kind. */
export const withKey = (server: TestServer, apiKey: string): NeonApi =>
  createApiClient({ apiKey, baseURL: server.apiUrl })
