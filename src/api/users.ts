// Users: the caller himself, how he proved who he is, and new ones.

import { effectiveLimits } from '../model/plan.ts'
import { createdApiKeyView } from './api-key-view.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { organizationView } from './organization-view.ts'
import { userView } from './user-view.ts'

/** As Neon answers for somebody without any account to bill. */
const planWithoutOrganization = 'free_v3'

export const users = {
  async getCurrentUserInfo({ control, caller }: ApiRequest) {
    const { user, organization } = await control.users.me(caller)
    const plan = organization?.plan ?? planWithoutOrganization
    const limits = effectiveLimits(plan, organization?.limits ?? {})
    return ok({
      id: user.id,
      email: user.email,
      login: user.email,
      name: user.name,
      last_name: '',
      image: '',
      plan,
      projects_limit: limits.projects,
      branches_limit: limits.branchesPerProject,
      max_autoscaling_limit: limits.maxCu,
      active_seconds_limit: limits.newProjectActiveTimeSeconds,
      compute_seconds_limit: limits.newProjectComputeTimeSeconds,
      auth_accounts: [],
    })
  },

  async updateCurrentUser({ control, caller, body }: ApiRequest<unknown, { default_org_id?: string }>) {
    const { user, organization } = await control.users.update(caller, { defaultOrgId: body.default_org_id })
    return ok({ user: userView(user), default_org_id: organization?.id ?? null })
  },

  async createUser({ control, body }: ApiRequest<unknown, { email: string; name?: string }>) {
    const { user, key, secret } = await control.users.create(body)
    return ok({ user: userView(user), api_key: createdApiKeyView(key, secret) })
  },

  async getCurrentUserOrganizations({ control, caller }: ApiRequest) {
    const organizations = await control.organizations.list(caller)
    return ok({ organizations: organizations.map(organizationView) })
  },

  async getAuthDetails({ caller }: ApiRequest) {
    return ok(
      caller.kind === 'user'
        ? { account_id: caller.userId, auth_method: 'api_key_user' as const }
        : { account_id: caller.orgId, auth_method: 'api_key_org' as const },
    )
  },
} satisfies Handlers
