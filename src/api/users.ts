// The caller himself, and how he proved who he is.

import { largestCu } from '../model/compute.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { organizationView } from './organization-view.ts'

/** Neon's hard caps; 0 means no limit. */
const projectsLimit = 10_000
const branchesLimit = 5000
const noLimit = 0

export const users = {
  async getCurrentUserInfo({ control, caller }: ApiRequest) {
    const { user, organization } = await control.users.me(caller)
    return ok({
      id: user.id,
      email: user.email,
      login: user.email,
      name: user.name,
      last_name: '',
      image: '',
      plan: organization.plan,
      projects_limit: projectsLimit,
      branches_limit: branchesLimit,
      max_autoscaling_limit: largestCu,
      active_seconds_limit: noLimit,
      compute_seconds_limit: noLimit,
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
