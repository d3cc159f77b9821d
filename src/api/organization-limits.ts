// What organizations may have, for whoever runs this installation.

import { limitsView } from './organization-limits-view.ts'
import type { LimitValues } from '../model/limit-change.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

export const organizationLimits = {
  async getOrganizationLimits({ control, caller, params }: ApiRequest) {
    return ok(limitsView(await control.organizationLimits.get(caller, params.org_id)))
  },

  async updateOrganizationLimits({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, { plan?: string; limits?: LimitValues }>) {
    return ok(limitsView(await control.organizationLimits.change(caller, params.org_id, body)))
  },
} satisfies Handlers
