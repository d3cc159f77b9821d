// What `pgrove org` asks for over the admin socket. Whoever may open that socket owns the installation.

import { creditsView } from '../api/cost-view.ts'
import type { BillingAdmin } from '../control/billing/operator.ts'
import type { OrganizationAdmin } from '../control/organization-limits.ts'
import type { RpcMethods } from '../lib/rpc.ts'
import type { LimitValues } from '../model/limit-change.ts'

type Params = {
  organization?: string
  name?: string
  plan?: string
  limits?: LimitValues
  amount?: string
  note?: string
  rateLimit?: string
}

export function organizationMethods(admin: OrganizationAdmin & BillingAdmin): RpcMethods {
  return {
    listOrganizations: () => admin.list(),
    getOrganization: (params) => admin.get((params as Params).organization ?? ''),
    changeOrganization: (params) => {
      const { organization = '', plan, limits } = params as Params
      return admin.change(organization, { plan, limits })
    },
    getCredits: async (params) => creditsView(await admin.credits((params as Params).organization ?? '')),
    grantCredit: async (params) => {
      const { organization = '', amount = '', note } = params as Params
      return creditsView(await admin.grant(organization, amount, note))
    },
    getRateLimit: (params) => admin.rateLimit((params as Params).organization ?? ''),
    setRateLimit: (params) => {
      const { organization = '', rateLimit } = params as Params
      return admin.setRateLimit(organization, rateLimit)
    },
    createOrganization: (params) => {
      const { name = '', plan } = params as Params
      return admin.create(name, plan)
    },
  }
}
