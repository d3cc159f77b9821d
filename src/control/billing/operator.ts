// Credits and rate limits, for whoever sits at the machine. Organizations are named by id, name or handle.

import type { OrganizationId } from '../../model/ids.ts'
import type { CreditAccount, RateLimitOf } from '../params.ts'
import type { ControlContext } from '../context.ts'
import { recordOperatorAction } from '../audit-log.ts'
import { namedOrganization } from '../organization-limits.ts'
import { creditAccount, grantCredit } from './costs.ts'

export type BillingAdmin = {
  credits(organization: string): Promise<CreditAccount>
  grant(organization: string, amount: string, note: string | undefined): Promise<CreditAccount>
  rateLimit(organization: string): Promise<RateLimitOf>
  /** Undefined: as everybody's. */
  setRateLimit(organization: string, text: string | undefined): Promise<RateLimitOf>
}

export function billingAdmin(control: ControlContext): BillingAdmin {
  const idOf = async (organization: string): Promise<OrganizationId> =>
    (await namedOrganization(control.store, organization)).id
  const note = (orgId: OrganizationId, operationId: string): void =>
    recordOperatorAction(control, { orgId, operationId, resources: { org_id: orgId } })
  return {
    credits: async (organization) => await creditAccount(control, control.store, await idOf(organization)),
    async grant(organization, amount, text) {
      const orgId = await idOf(organization)
      const account = await grantCredit(control, orgId, { amount, note: text, grantedBy: undefined })
      note(orgId, 'grantOrganizationCredit')
      return account
    },
    rateLimit: async (organization) =>
      await control.rateLimiter.get({ kind: 'organization', id: await idOf(organization) }),
    async setRateLimit(organization, text) {
      const id = await idOf(organization)
      const limit = await control.rateLimiter.set({ kind: 'organization', id }, text)
      note(id, 'updateOrganizationRateLimit')
      return limit
    },
  }
}
