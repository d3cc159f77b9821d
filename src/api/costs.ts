// What usage costs, credits, and limits of spending.

import type { SpendingLimitUpdateRequest } from '@neondatabase/api-client'
import { creditsView, organizationCostView, projectCostView } from './cost-view.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

const namedProjects = 100

export const costs = {
  async getProjectCost({ control, caller, params, query }: ApiRequest<{ period?: string }>) {
    return ok(projectCostView(await control.costs.ofProject(caller, params.project_id, query.period)))
  },

  async getOrganizationCost({ control, caller, params, query }: ApiRequest<{ period?: string; limit?: number }>) {
    const { period, limit: projects = namedProjects } = query
    return ok(organizationCostView(await control.costs.ofOrganization(caller, params.org_id, { period, projects })))
  },

  async getOrganizationCredits({ control, params }: ApiRequest) {
    return ok(creditsView(await control.costs.credits(params.org_id)))
  },

  async grantOrganizationCredit({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, { amount: string; note?: string }>) {
    const grant = { amount: body.amount, note: body.note, grantedBy: caller.userId }
    return ok(creditsView(await control.costs.grantCredit(params.org_id, grant)))
  },

  async getOrganizationSpendingLimit({ control, caller, params }: ApiRequest) {
    return ok({ spending_limit_cents: (await control.costs.spendingLimit(caller, params.org_id)) ?? null })
  },

  async setOrganizationSpendingLimit({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, SpendingLimitUpdateRequest>) {
    const cents = await control.costs.setSpendingLimit(caller, params.org_id, body.spending_limit_cents)
    return ok({ spending_limit_cents: cents })
  },

  async deleteOrganizationSpendingLimit({ control, caller, params }: ApiRequest) {
    await control.costs.deleteSpendingLimit(caller, params.org_id)
    return ok({})
  },
} satisfies Handlers
