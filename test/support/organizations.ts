// A test's organizations: the two that a first start makes, further ones, and what an operator lets them have.

import { join, must, organizationNamed, type Person } from './accounts.ts'
import { apiClient, type TestServer } from './server.ts'

export async function firstOrganizations(server: TestServer): Promise<{ sponsored: string; paid: string }> {
  return { sponsored: await organizationNamed(server, 'sponsored'), paid: await organizationNamed(server, 'paid') }
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
  return (await must(server, 'PATCH', `/operator/organizations/${orgId}/limits`, { limits })) as LimitsAnswer
}

/** Whoever the server is called as is its admin. */
export async function newOrganization(server: TestServer, name: string, plan = 'scale_v3'): Promise<string> {
  const made = await must(server, 'POST', '/operator/organizations', { name, plan })
  return (made as { organization: { id: string } }).organization.id
}

/** Invited by whoever the server is called as, and accepted. Gives the id of the membership. */
export async function addMember(server: TestServer, orgId: string, person: Person, role = 'member'): Promise<string> {
  return await join({ server, api: apiClient(server), id: '', email: '' }, orgId, person, role)
}
