// The caller himself, and how he proved who he is.

import { effectiveLimits } from '../model/plan.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { organizationView } from './organization-view.ts'

export const users = {
  async getCurrentUserInfo({ control, caller }: ApiRequest) {
    const { user, organization } = await control.users.me(caller)
    const limits = effectiveLimits(organization.plan, organization.limits)
    return ok({
      id: user.id,
      email: user.email,
      login: user.email,
      name: user.name,
      last_name: '',
      image: '',
      plan: organization.plan,
      projects_limit: limits.projects,
      branches_limit: limits.branchesPerProject,
      max_autoscaling_limit: limits.maxCu,
      active_seconds_limit: limits.newProjectActiveTimeSeconds,
      compute_seconds_limit: limits.newProjectComputeTimeSeconds,
      auth_accounts: [],
    })
  },

  async getCurrentUserOrganizations({ control, caller }: ApiRequest) {
    const organizations = await control.organizations.list(caller)
    return ok({ organizations: organizations.map(organizationView) })
  },

  async getAuthDetails({ caller }: ApiRequest) {
    return ok({ account_id: caller.userId, auth_method: 'api_key_user' as const })
  },
} satisfies Handlers
